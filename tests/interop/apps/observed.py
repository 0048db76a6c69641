"""An agent on the OpenAI SDK whose functions are observed by Langfuse."""

import json

from langfuse import observe, propagate_attributes
from openai import OpenAI

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION = {"name": "get_weather", "description": "Say the weather.", "parameters": PARAMETERS}


@observe(as_type="tool")
def get_weather(city: str) -> str:
    return "7C rain"


@observe(as_type="agent")
def weather_agent(question: str) -> str:
    client = OpenAI()
    messages = [{"role": "user", "content": question}]
    while True:
        tools = [{"type": "function", "function": FUNCTION}]
        answer = client.chat.completions.create(model="gpt-x", messages=messages, tools=tools)
        said = answer.choices[0].message
        if not said.tool_calls:
            return said.content
        messages.append(said.model_dump(exclude_none=True))
        for call in said.tool_calls:
            result = get_weather(**json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})


with propagate_attributes(session_id="thread-1"):
    print(weather_agent("What is the weather in Oslo?"))
