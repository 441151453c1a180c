"""The shortest program of each library that scores a training set: lines, imports and seconds."""
