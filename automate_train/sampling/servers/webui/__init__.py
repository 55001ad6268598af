"""A Stable Diffusion WebUI (A1111, Forge and relatives) as an image server, over HTTP.

Covers: the WebUI's own API, the model uploader or a folder shared with the server, the agent scheduler or txt2img; the
proof of a picture by its infotext. `server.WebUI` is the `ImageServer`; `payload` knows prompts and needs no network.
Not: when to call again, journals, runs, folders of a sweep (`sampling`).
What these servers really answer is unforgiving: a 200 may be a failure, a missing LoRA is drawn without a word. So an
upload is believed only by its hash, a picture only by its infotext, and an answer is never assumed to be JSON.
"""
