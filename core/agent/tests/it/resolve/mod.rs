mod debug;
mod go;
mod hostile;
mod image;
mod symbols;
mod symtab;
