"""An agent on the OpenAI SDK that writes its spans itself, in the words of OpenTelemetry's conventions."""

import json

from openai import OpenAI
from opentelemetry import trace

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}]
tracer = trace.get_tracer("weather")
client = OpenAI()


def get_weather(call) -> str:
    with tracer.start_as_current_span("execute_tool get_weather") as span:
        span.set_attribute("gen_ai.operation.name", "execute_tool")
        span.set_attribute("gen_ai.tool.name", call.function.name)
        span.set_attribute("gen_ai.tool.call.id", call.id)
        span.set_attribute("gen_ai.tool.call.arguments", call.function.arguments)
        span.set_attribute("gen_ai.tool.call.result", "7C rain")
        return "7C rain"


def ask(messages: list):
    with tracer.start_as_current_span("chat gpt-x", kind=trace.SpanKind.CLIENT) as span:
        answer = client.chat.completions.create(model="gpt-x", messages=messages, tools=TOOLS)
        said = answer.choices[0].message
        output = [{"role": "assistant", "parts": [{"type": "text", "content": said.content}]}]
        span.set_attribute("gen_ai.operation.name", "chat")
        span.set_attribute("gen_ai.response.model", answer.model)
        span.set_attribute("gen_ai.response.id", answer.id)
        span.set_attribute("gen_ai.tool.definitions", json.dumps(TOOLS))
        span.set_attribute("gen_ai.output.messages", json.dumps(output))
        span.set_attribute("gen_ai.usage.input_tokens", answer.usage.prompt_tokens)
        span.set_attribute("gen_ai.usage.cache_read.input_tokens", answer.usage.prompt_tokens_details.cached_tokens)
        span.set_attribute("gen_ai.usage.output_tokens", answer.usage.completion_tokens)
        return said


def run(question: str) -> str:
    messages = [{"role": "user", "content": question}]
    while True:
        said = ask(messages)
        if not said.tool_calls:
            return said.content
        messages.append(said.model_dump(exclude_none=True))
        results = [{"role": "tool", "tool_call_id": call.id, "content": get_weather(call)} for call in said.tool_calls]
        messages.extend(results)


with tracer.start_as_current_span("invoke_agent weather_agent") as root:
    root.set_attribute("gen_ai.operation.name", "invoke_agent")
    root.set_attribute("gen_ai.agent.name", "weather_agent")
    print(run("What is the weather in Oslo?"))
