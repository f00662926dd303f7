def split_sentences(text, max_characters): return [text]
