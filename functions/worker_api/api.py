"""The routes of workers' clients; modules of this function add to them."""

from smallpeck.runtime.http import Api

api = Api("worker")
