"""The request path: the only room that knows aiohttp."""
