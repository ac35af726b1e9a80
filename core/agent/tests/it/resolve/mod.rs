mod debug;
mod hostile;
mod image;
mod symbols;
mod symtab;
