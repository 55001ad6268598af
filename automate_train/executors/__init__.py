"""Where attempts run: one module an executor (`protocol.Executor`); `local` is this machine."""
