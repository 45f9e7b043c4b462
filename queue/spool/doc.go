// Package spool is the durable queue.Store of one relay: mail in files on a
// disk of its own machine.
//
//	store, err := spool.Open("/var/spool/relay", nil)
//	if err != nil { ... }
//	defer store.Close()
//	server.Overflow = store.CreateFile // large mail is written once
//	q := &queue.Queue{Store: store, Deliverer: router}
//
// # Durability
//
// When Put returns nil, the message is on stable storage: an fdatasync that
// covers it has returned, and so has one for the directory of any new file.
//
// Update and Remove (dispositions) do not wait for a sync of their own. They
// are written with the next commit, at most 100 ms later. A volatile schedule
// is not written at all.
//
// When a sync fails, the spool no longer trusts that segment of the log. It
// begins a new segment, writes there what was not acknowledged yet, and then
// copies the acknowledged records of the old segment.
//
// When Put returns an error, nothing of the message is left, with one
// exception: the disk failed the sync, and took neither a new segment nor
// another write to the failed one. The records may then be on disk, and no
// later record says that they do not count. After a crash in that state, the
// messages of that one commit may come back. The spool tries to leave the state
// every second, with or without new mail. Until it succeeds it writes nothing
// else, so later refusals are final.
//
// # A full or broken disk
//
// On a full disk the spool refuses new mail (queue.ErrFull) while at least a
// quarter of a segment is left for dispositions. Accepted mail can be read,
// updated and removed as before. Segments that become free are reused, which
// needs no disk space. On a disk that cannot be written at all, Put, Update,
// Remove and Sync fail, and reading works.
//
// # Recovery
//
// Open reads the log once, from end to end ([Recovery]). What a crash left
// unfinished at the end was never acknowledged, and is cut. Damage elsewhere is
// copied to a file in the directory damaged and reported, and the rest is
// recovered. A message with damaged content stays in the queue; reading it
// fails with queue.ErrDamaged. Inspect reads a spool without opening it;
// examples/spooltool is a command for that.
//
// # Size
//
// In memory a waiting message takes about 140 bytes. On disk its record takes
// about 150 bytes in addition to content and addresses. Each segment keeps one
// file open, so a spool of 100 GB takes 1600 descriptors.
//
// # How it works
//
// Three parts, each a type with its own lock, make a Spool:
//
//   - recordLog (log.go) has the records: messages, new states, removals. They
//     are appended to the active one of a sequence of files, the segments. Many
//     goroutines share a write and a sync (commit.go).
//   - messageIndex (messages.go) knows in memory which record is the newest of
//     each message, and when each message is due (queue/internal/index).
//     Envelope and content are read from the log when they are needed.
//   - contentFiles (contentfiles.go) has the contents of 256 KiB or more, each
//     in a file of its own that is durable before its record is written.
//
// A segment in which no record is needed is deleted, or becomes the next
// segment. A segment of which at most a quarter is needed is emptied, 10 seconds
// or more after its last write: what is needed is copied to the active segment
// (compact.go). So the log is written at most 4/3 times on average, and is at
// most four times as long as what it has to keep, plus the two segments at its
// end.
//
// The blocks of a segment are written (with zeros) before it is used, so that
// a commit changes no metadata and cannot run out of disk.
//
// # The format, version 1
//
// A spool is a directory:
//
//	lock       locked while the spool is open, as the directory itself is
//	key        16 random bytes, also in each segment
//	inhand     which messages are being delivered (queue.DeliveryJournal): 8192
//	           sequence numbers of 8 bytes, 0 for none
//	log/       the segments, NNNNNNNNNN.log by their number, which only grows;
//	           spare is the next one, not in use yet
//	files/     large content, named for the message's sequence number in
//	           16 hexadecimal digits; tmp-* are files of CreateFile
//	damaged/   what recovery set aside, SEGMENT-OFFSET-SIZE
//
// All numbers of fixed length are little endian. Checksums are CRC-32C
// (Castagnoli). A segment is a header (segmentHeader in record.go) and records
// up to its end or to bytes that are no record. A record is a header (header in
// record.go), its meta, its body, and zeros up to a multiple of 8 bytes. Its
// kind says what it is; the sequence number says of which message:
//
//	1 message   meta: head, state, envelope; body: the content that is not in
//	            a file
//	2 state     meta: message ID, state. It replaces the message's state.
//	3 removal   meta: the number, of 8 bytes, of the segment that had the
//	            message
//
// Head, state and envelope are rows of values, in the order of the code in
// envelope.go, encoded as wire.go says. Replaying the records in order gives
// the spool: a message record makes the message, or replaces it (it was
// moved); states and removals of messages that are not there mean nothing.
//
// A crash can tear the last commit in any way. The header of each record has
// the offset at which its commit began, and a commit begins only when the one
// before is durable. The header of each segment says where the segment before
// ends. From this, recovery tells a torn end from damage: what is before such an
// offset was durable once. Records behind the end that the next segment names
// do not count, whole or not. If there are whole records, that next segment is
// kept until the one before is gone.
//
// The first 4 and the last 4 bytes of a record's header depend on the spool's
// key and the segment's number. So the file of a segment can be reused without
// its old records coming back, and the content of a message cannot pass for
// records.
package spool
