"""The API of operators. Its routes stand in the modules that `handler` imports, by use case."""

from smallpeck.runtime.http import Api

api = Api("operator")
