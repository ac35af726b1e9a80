"""What the wheel brings along, and that its stubs tell the truth."""

import ast
import importlib.metadata
import inspect
import os
import unittest

import sondage

FOLDER = os.path.dirname(sondage.__file__)


class Wheel(unittest.TestCase):
    def test_it_is_typed_and_brings_the_library_and_the_command(self):
        installed = {str(path) for path in importlib.metadata.files("sondage")}
        for name in ("py.typed", "__init__.pyi", "_sondage.abi3.so", "libsondage.so"):
            self.assertIn("sondage/" + name, installed)
        self.assertFalse([path for path in installed if path.startswith("tests/")])

    def test_the_version_is_the_metadata_s(self):
        self.assertEqual(sondage.__version__, importlib.metadata.version("sondage"))

    def test_the_stubs_have_the_names_and_arguments_of_the_package(self):
        with open(os.path.join(FOLDER, "__init__.pyi")) as file:
            stubs = ast.parse(file.read())
        functions = {node.name: node for node in stubs.body if isinstance(node, ast.FunctionDef)}
        classes = {node.name for node in stubs.body if isinstance(node, ast.ClassDef)}
        self.assertEqual(set(sondage.__all__), set(functions) | classes)
        for name, stub in functions.items():
            real = inspect.signature(getattr(sondage, name)).parameters.values()
            arguments = [argument.arg for argument in stub.args.args + stub.args.kwonlyargs]
            self.assertEqual(arguments, [parameter.name for parameter in real], name)

    def test_every_public_name_is_documented(self):
        for name in sondage.__all__:
            self.assertTrue(inspect.getdoc(getattr(sondage, name)), name)


if __name__ == "__main__":
    unittest.main()
