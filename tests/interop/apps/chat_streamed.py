"""An agent on the OpenAI SDK that reads each answer as it is written."""

import json

from openai import OpenAI

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION = {"name": "get_weather", "description": "Say the weather.", "parameters": PARAMETERS}
TOOLS = [{"type": "function", "function": FUNCTION}]


def get_weather(city: str) -> str:
    return "7C rain"


def ask(client: OpenAI, messages: list) -> dict:
    options = {"stream": True, "stream_options": {"include_usage": True}}
    said = {"role": "assistant", "content": ""}
    for chunk in client.chat.completions.create(model="gpt-x", messages=messages, tools=TOOLS, **options):
        for delta in [choice.delta for choice in chunk.choices]:
            said["content"] += delta.content or ""
            for part in delta.tool_calls or []:
                calls = said.setdefault("tool_calls", [])
                if part.id:
                    calls.append({"id": part.id, "type": "function", "function": {"name": part.function.name}})
                function = calls[part.index]["function"]
                function["arguments"] = function.get("arguments", "") + (part.function.arguments or "")
    return said


def run(question: str) -> str:
    client = OpenAI()
    messages = [{"role": "user", "content": question}]
    while True:
        said = ask(client, messages)
        if "tool_calls" not in said:
            return said["content"]
        messages.append(said)
        for call in said["tool_calls"]:
            result = get_weather(**json.loads(call["function"]["arguments"]))
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})


print(run("What is the weather in Oslo?"))
