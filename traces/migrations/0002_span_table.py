"""The span table: partitioned by day, slim columns inline, bodies out of line and compressed by lz4 where built in."""

from django.db import migrations

CREATE = """
CREATE TABLE traces_span (
    project_id uuid NOT NULL,
    trace_day date NOT NULL,
    trace_ref_id uuid NOT NULL,
    span_id text COLLATE "C" NOT NULL,
    parent_span_id text COLLATE "C",
    step_number integer,
    event_type text,
    name text,
    tool_name text,
    agent text,
    model text,
    approval_id text,
    decision text,
    started_at timestamptz NOT NULL,
    ended_at timestamptz,
    received_at timestamptz NOT NULL,
    arrival integer NOT NULL,
    is_error boolean,
    revised boolean NOT NULL,
    repaired boolean NOT NULL,
    synthetic_time boolean NOT NULL,
    input_tokens integer,
    output_tokens integer,
    cached_tokens integer,
    context_tokens integer,
    cost_usd numeric(18, 9),
    input_hash bigint,
    output_hash bigint,
    output_size integer,
    toolset_id uuid,
    original_timestamp text,
    input_preview text,
    output_preview text,
    input text,
    output text,
    text text,
    thinking text,
    error text,
    attributes jsonb,
    CONSTRAINT span_event_type_known
        CHECK (event_type IN ('tool_call', 'model_response', 'error', 'human_gate')),
    PRIMARY KEY (project_id, trace_day, trace_ref_id, span_id)
) PARTITION BY RANGE (trace_day);

-- What a detector has not seen of a trace.
CREATE INDEX span_by_arrival ON traces_span (trace_ref_id, arrival);

-- MAIN keeps a value in its row as long as the row fits a page; the default would move the longest names and previews
-- out of line, since partitions are made with toast_tuple_target = 128.
ALTER TABLE traces_span
    ALTER span_id SET STORAGE MAIN, ALTER parent_span_id SET STORAGE MAIN, ALTER event_type SET STORAGE MAIN,
    ALTER name SET STORAGE MAIN, ALTER tool_name SET STORAGE MAIN, ALTER agent SET STORAGE MAIN,
    ALTER model SET STORAGE MAIN, ALTER approval_id SET STORAGE MAIN, ALTER decision SET STORAGE MAIN,
    ALTER cost_usd SET STORAGE MAIN, ALTER original_timestamp SET STORAGE MAIN,
    ALTER input_preview SET STORAGE MAIN, ALTER output_preview SET STORAGE MAIN;

DO $$
BEGIN
    ALTER TABLE traces_span
        ALTER input SET COMPRESSION lz4, ALTER output SET COMPRESSION lz4, ALTER text SET COMPRESSION lz4,
        ALTER thinking SET COMPRESSION lz4, ALTER error SET COMPRESSION lz4, ALTER attributes SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    RAISE NOTICE 'this Postgres was built without lz4; bodies are compressed by pglz';
END $$;

CREATE TABLE traces_span_default PARTITION OF traces_span DEFAULT WITH (toast_tuple_target = 128);
"""


class Migration(migrations.Migration):
    dependencies = [("traces", "0001_first")]

    operations = [migrations.RunSQL(CREATE, "DROP TABLE traces_span")]
