"""An agent on the Anthropic SDK that reads each answer as it is written."""

from anthropic import Anthropic

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"name": "get_weather", "description": "Say the weather.", "input_schema": SCHEMA}


def get_weather(city: str) -> str:
    return "7C rain"


def run(question: str) -> str:
    client = Anthropic()
    messages = [{"role": "user", "content": question}]
    while True:
        asked = {"model": "claude-x", "max_tokens": 1_000, "messages": messages, "tools": [TOOL]}
        with client.messages.stream(**asked) as stream:
            said = stream.get_final_message()
        calls = [block for block in said.content if block.type == "tool_use"]
        if not calls:
            return said.content[0].text
        messages.append(
            {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in said.content]}
        )
        results = [
            {"type": "tool_result", "tool_use_id": call.id, "content": get_weather(**call.input)} for call in calls
        ]
        messages.append({"role": "user", "content": results})


print(run("What is the weather in Oslo?"))
