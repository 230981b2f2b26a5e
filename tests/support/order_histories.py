"""Short histories of one key with which the cases of the order model begin, so that workers collide often."""

# What happened to the key before the case begins, one letter a step: p and q put one content or the other, a puts an
# archived object, d deletes, c deletes the newest version, r restores, s archives without an event, b is a backfill; P,
# Q and D are events without a sequencer. A digit delivers the newest event and makes so many calls of it (9: all); `+`
# delivers the last one again and finishes it; `!` crashes the newest worker, `v` finishes it; `n` makes one call of the
# newest worker and `w` of the oldest; `.` delivers and finishes all.
HISTORIES = [
    "",
    "p.",
    "P.",
    "p.d.",
    "P.D.",
    "p.q.",
    "a.r",
    "a.r.",
    "a3!r",  # a JSON that says "archived", no item, and a restored object
    "a.r.d3",
    "a2r9",  # has seen the archived object, before the restored one is committed
    "p1d9",  # has read the object, before its tombstone
    "p1d9w!",  # has written a JSON after the clean-up of a newer tombstone, and does not know it when it begins again
    "p.d3p3wnd9",  # is about to write a missing JSON again, when a newer tombstone is there
    "p2!d9",  # has written a JSON, and a later delivery finds a newer tombstone
    "p.d3p9",  # is about to delete what is named again
    "p.d3p9avb9",  # deletes what is named again, and then the object is archived: its JSON cannot be made again
    "p.D4p9",
    "p.D4p9ba",  # deletes what is named again, when the object is archived and only a backfill looks at it
    "d1q2p2",  # a tombstone, and a commit over it, between the JSON and the item of another worker
    "P.p3q3",  # two events meet an item without a sequencer
    "pp9q03wwwwv",  # deletes what it wrote, although a third worker has committed it meanwhile
    "p2b3",
    "p.d3a2p9wv",  # a JSON that says "archived" takes the place of a deleted one that is named
    "p.D4p9sw+",  # and so it does by a repeated event, while the deletion is still under way
    "p.d3a4wnp9n!",  # or by a worker that crashes afterwards, and whose event is then older than the item
    "p.d3p9sv",  # an event that is older than the item has deleted what is named, and cannot make it again
    "p.d3c9w!s",  # nor can it after a crash, when the JSON that it would write has another name
    "p.Ps",  # keeps the vector of an earlier version with the same bytes
]
