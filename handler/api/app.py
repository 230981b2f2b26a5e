"""The entry point of the function `Api`: a search request -> its answer."""

import json
import os
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from handler.api.items import ItemReader
from handler.api.query import parse_request
from handler.api.search import Search
from handler.api.towers import Limits, Towers
from handler.aws.clients import make_search_clients
from handler.errors import DropvecError, InternalError, SearchOffError
from handler.model.identity import load_identity
from handler.timing import Deadline, LambdaContext
