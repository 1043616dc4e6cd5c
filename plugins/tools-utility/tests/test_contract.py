"""Every tool of the distribution keeps the contract of a tool."""

from __future__ import annotations

from llmspell_tools_utility.base64_encoder import Base64Encoder
from llmspell_tools_utility.calculator import Calculator
from llmspell_tools_utility.datetime_handler import DatetimeHandler
from llmspell_tools_utility.hash_calculator import HashCalculator
from llmspell_tools_utility.text_manipulator import TextManipulator
from llmspell_tools_utility.uuid_generator import UuidGenerator

from llmspell_core.testing import ToolContract


class TestBase64EncoderContract(ToolContract):
    tool_class = Base64Encoder


class TestCalculatorContract(ToolContract):
    tool_class = Calculator


class TestDatetimeHandlerContract(ToolContract):
    tool_class = DatetimeHandler


class TestHashCalculatorContract(ToolContract):
    tool_class = HashCalculator


class TestTextManipulatorContract(ToolContract):
    tool_class = TextManipulator


class TestUuidGeneratorContract(ToolContract):
    tool_class = UuidGenerator
