"""What crosses the door between an engine and its clients, by topic. Free of torch."""

from engine.messages.base import *
from engine.messages.cell import *
from engine.messages.embeddings import *
from engine.messages.envelope import *
from engine.messages.evaluation import *
from engine.messages.generation import *
from engine.messages.reading import *
from engine.messages.training import *
