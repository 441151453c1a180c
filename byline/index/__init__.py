"""The index on disk: an immutable, checksummed directory that is written in blocks and opened read-only.

`writer` and `search_writer` write it from `contents`, `publishing` makes it visible, `index` opens it and `verification`
compares it with its `manifest`. `layout` names its files, `fingerprint` its version. `vectors`, `faiss_file`, `codes`,
`examples` and `owners` are its parts. `quality_card` and `recordings` lie beside it.
"""
