"""An agent as a graph of LangGraph: a node that asks the model, and one that runs the tools it wants."""

from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition


def get_weather(city: str) -> str:
    """Say the weather."""
    return "7C rain"


model = ChatOpenAI(model="gpt-x").bind_tools([get_weather])


def ask(state: MessagesState) -> dict:
    return {"messages": [model.invoke(state["messages"])]}


graph = StateGraph(MessagesState)
graph.add_node("ask", ask)
graph.add_node("tools", ToolNode([get_weather]))
graph.add_edge(START, "ask")
graph.add_conditional_edges("ask", tools_condition)
graph.add_edge("tools", "ask")
agent = graph.compile(name="weather_agent")
question = {"messages": [("user", "What is the weather in Oslo?")]}
print(agent.invoke(question, {"configurable": {"thread_id": "thread-1"}})["messages"][-1].content)
