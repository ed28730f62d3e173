"""One way in: every surface (HTTP, later FUSE and a console) calls `Operations.perform`."""
