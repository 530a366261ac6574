"""A small shop for the tests of codecs: its orders in every kind of class that authors write."""

import datetime as dt
import enum
import typing
from dataclasses import dataclass, field
from typing import Annotated, Generic, NamedTuple, NewType, TypeVar

import attrs
import msgspec
import pydantic
from pydantic.alias_generators import to_camel
from typing_extensions import TypeAliasType, TypedDict

T = TypeVar("T")
OrderId = NewType("OrderId", str)


class Size(enum.Enum):
    SMALL = "small"
    LARGE = "large"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@dataclass(frozen=True)
class Item:
    sku: str
    price: float = 1.0


@dataclass
class Order:
    order_id: str
    items: list[Item] = field(default_factory=list)
    note: str | None = None


@attrs.define
class AttrsOrder:
    order_id: str
    items: list[Item] = attrs.Factory(list)
    size: Size = Size.SMALL


class StructOrder(msgspec.Struct, rename="camel"):
    order_id: str
    all_items: list[Item] = []


class TypedOrder(TypedDict, total=False):
    order_id: typing.Required[str]
    items: list[Item]


class Point(NamedTuple):
    x: int
    y: int = 0


class PydanticItem(pydantic.BaseModel):
    sku: str
    price: float = 1.0


class PydanticOrder(pydantic.BaseModel):
    order_id: str
    items: list[PydanticItem] = []
    placed: dt.datetime | None = None


class Cat(msgspec.Struct, tag=True):
    lives: int


class Dog(msgspec.Struct, tag=True):
    tricks: list[str]


@dataclass
class Box(Generic[T]):
    content: T


class PydanticBox(pydantic.BaseModel, Generic[T]):
    content: T


@dataclass
class Mixed:
    """A dataclass of the standard library around a pydantic model."""

    order: PydanticOrder
    tags: set[str] = field(default_factory=set)


class TypedMixed(TypedDict):
    orders: dict[str, PydanticOrder]


@pydantic.dataclasses.dataclass
class PydanticDataclass:
    count: Annotated[int, pydantic.Field(gt=0)]
    size: Size = Size.LARGE


@dataclass
class Left:
    left: int


@dataclass
class Right:
    right: str


@dataclass
class Tree:
    name: str
    children: "list[Tree]" = field(default_factory=list)


class EpochEvent(pydantic.BaseModel):
    """Its own serialiser writes what strict reading would refuse."""

    at: Annotated[dt.datetime, pydantic.PlainSerializer(lambda at: at.timestamp())]


class Aliased(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(alias_generator=to_camel)

    order_id: str


class WrittenOtherwise(pydantic.BaseModel):
    count: int = pydantic.Field(serialization_alias="n", validation_alias="number")


class Numbers(pydantic.RootModel[list[int]]):
    pass


Alias = TypeAliasType("Alias", "dict[str, list[Item]]")
