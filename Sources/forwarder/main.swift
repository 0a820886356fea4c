print("forwarder")
