"""An agent on Pydantic AI with one tool."""

from pydantic_ai import Agent

agent = Agent("openai-chat:gpt-x", name="weather_agent")


@agent.tool_plain
def get_weather(city: str) -> str:
    """Say the weather."""
    return "7C rain"


print(agent.run_sync("What is the weather in Oslo?").output)
