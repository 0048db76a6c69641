"""An agent on the OpenAI Agents SDK with one tool."""

from agents import Agent, Runner, function_tool


@function_tool
def get_weather(city: str) -> str:
    """Say the weather."""
    return "7C rain"


agent = Agent(name="weather_agent", model="gpt-x", tools=[get_weather])
print(Runner.run_sync(agent, "What is the weather in Oslo?").final_output)
