"""Compensation of owners: from attributed generations to a ledger. Pure: no database, no HTTP, no clock, no floats.

```
event       one attributed generation: every owner's score by member, as integers
policy      rules of a division: amount, currency, confidence, floor, and the events that are not payable
allocation  events + policy -> integer lines that add up to the pool
statement   an allocation, a release or a reversal as one canonical document
ledger      balanced entries of a posted statement
journal     one hash chain over events, policies, runs, approvals and postings
verification  the recomputation of all of this from the journal
```
"""
