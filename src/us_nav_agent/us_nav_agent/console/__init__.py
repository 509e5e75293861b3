"""The console: what the graph, or a bag of it, shows at a moment, as a page in the browser.

Feed (live graph or bag) -> records -> ConsoleModel -> Snapshot -> server -> page. No ROS in here.
"""
