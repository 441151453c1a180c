"""Encoders of text, and encoders with a decoder."""

from torch import nn

from tests.byline.gradients.families.base import (
    CLASSES,
    SIZES,
    VOCABULARY,
    Family,
    built,
    encoder_decoder,
    masked,
    sequence,
)


def bert_classifier() -> nn.Module:
    return built("BertForSequenceClassification", "BertConfig", **SIZES, num_labels=CLASSES)()


def encoders() -> dict[tuple[str, str], Family]:
    labels = {**SIZES, "num_labels": CLASSES}
    distil = {
        "dim": 8,
        "hidden_dim": 12,
        "n_layers": 1,
        "n_heads": 2,
        "num_labels": CLASSES,
        "pad_token_id": 0,
    }
    xlnet = {
        "summary_type": "first",
        "d_model": 8,
        "n_layer": 1,
        "n_head": 2,
        "d_inner": 12,
        "num_labels": CLASSES,
        "pad_token_id": 0,
    }
    relative = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "max_relative_positions": 8}
    albert = {**labels, "embedding_size": 6, "num_hidden_layers": 2}
    return {
        ("BERT", "masked head, tied bias"): masked(built("BertForMaskedLM", "BertConfig", **SIZES)),
        ("BERT", "classifier"): sequence(bert_classifier),
        ("RoBERTa", "masked head"): masked(built("RobertaForMaskedLM", "RobertaConfig", **SIZES)),
        ("DistilBERT", "classifier"): sequence(
            built(
                "DistilBertForSequenceClassification",
                "DistilBertConfig",
                vocab_size=VOCABULARY,
                max_position_embeddings=16,
                **distil,
            )
        ),
        ("ALBERT", "one layer called twice"): sequence(
            built("AlbertForSequenceClassification", "AlbertConfig", **albert)
        ),
        ("MPNet", "relative bias"): sequence(
            built("MPNetForSequenceClassification", "MPNetConfig", **labels)
        ),
        ("DeBERTa-v2", "disentangled attention"): sequence(
            built("DebertaV2ForSequenceClassification", "DebertaV2Config", **labels, **relative)
        ),
        ("DeBERTa", "disentangled attention"): sequence(
            built("DebertaForSequenceClassification", "DebertaConfig", **labels, **relative)
        ),
        ("XLNet", "relative positions"): sequence(
            built("XLNetForSequenceClassification", "XLNetConfig", vocab_size=VOCABULARY, **xlnet)
        ),
    }


def encoder_decoders() -> dict[tuple[str, str], Family]:
    t5 = {"vocab_size": VOCABULARY, "d_model": 8, "d_kv": 4, "d_ff": 12, "num_layers": 2, "num_heads": 2}
    t5 = {**t5, "pad_token_id": 0, "decoder_start_token_id": 0, "relative_attention_num_buckets": 6}
    bart = {
        "vocab_size": VOCABULARY,
        "d_model": 8,
        "encoder_layers": 1,
        "decoder_layers": 1,
        "pad_token_id": 0,
    }
    bart = {**bart, "encoder_attention_heads": 2, "decoder_attention_heads": 2, "max_position_embeddings": 16}
    bart = {**bart, "encoder_ffn_dim": 12, "decoder_ffn_dim": 12, "bos_token_id": 1, "eos_token_id": 2}
    return {
        ("T5", "relative bias, tied head"): encoder_decoder(
            built("T5ForConditionalGeneration", "T5Config", **t5)
        ),
        ("T5", "gated"): encoder_decoder(
            built(
                "T5ForConditionalGeneration",
                "T5Config",
                **t5,
                feed_forward_proj="gated-gelu",
                tie_word_embeddings=False,
            )
        ),
        ("BART", "tied head"): encoder_decoder(built("BartForConditionalGeneration", "BartConfig", **bart)),
    }
