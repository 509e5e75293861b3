"""Plants: what the bridge drives where there is no robot. They satisfy ``iiwa_bridge.types.Plant`` by their shape."""
