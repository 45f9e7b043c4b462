// Package spool is the durable queue.Store of one relay: mail in files on a
// disk of its own machine.
//
//	store, err := spool.Open("/var/spool/relay", nil)
//	if err != nil { ... }
//	defer store.Close()
//	server.Overflow = store.CreateFile // big mail is written once
//	q := &queue.Queue{Store: store, Deliverer: router}
//
// # What it promises
//
// When Put returns nil, the message is on stable storage: an fdatasync that
// covers it has returned, and so has one for the directory of any new file.
// Dispositions (Update, Remove) wait for no sync of their own; they ride on
// the next one, which comes at most 100 ms later. A volatile schedule writes
// nothing. When a sync fails, nothing on that segment is trusted any more: a
// new one is begun, what had not been acknowledged is written there, and what
// had been is moved there by and by.
//
// When Put returns an error nothing of the message is left, but for one case:
// the disk failed its sync, and takes neither a new segment nor another write
// to the failed one. The records may have reached it then, and nothing there
// says that they do not count: after a crash in that state the messages of that
// one commit may be there again. The spool tries to end the state every second,
// whether or not there is mail; while it lasts nothing more is written, so
// later refusals are final.
//
// On a full disk new mail is refused (queue.ErrFull) while there is still room
// for dispositions: a quarter of a segment at least. Mail that was accepted is
// read, updated and removed as ever, and the segments that this frees are used
// anew, which takes no disk. On a disk that cannot be written at all Put,
// Update, Remove and Sync fail, and reading goes on.
//
// Recovery ([Recovery]) reads the log once, from end to end. What a crash left
// unfinished at the end of it had never been acknowledged, and is cut. What is
// damaged elsewhere is copied to a file in the directory damaged and reported,
// and the rest is recovered; a message of which only the content is damaged
// stays in the queue, and reading it fails with queue.ErrDamaged. Inspect
// looks into a spool without opening it; examples/spooltool is a command over
// that.
//
// In memory a waiting message takes about 140 bytes; on disk its record takes
// some 150 bytes beside content and addresses. Each segment of the log keeps
// one file open, so a spool of 100 GB takes 1600 descriptors.
//
// # How it works
//
// Messages and dispositions are records, appended to the active one of a row
// of files, the log's segments. Many goroutines share a write and a sync
// (commit.go). An index in memory (queue/internal/index) says which record is
// the newest of each message; a message's envelope and content are read when
// they are asked for.
//
// A segment in which no record is needed is deleted, or becomes the next one.
// One in which at most a quarter is needed, 10 seconds or more after it was
// last written to, is emptied: what is needed moves to the active segment. So
// nothing is written more than 4/3 times on average, and the log is no longer
// than four times what lives in it and the two segments at its end.
//
// A segment's blocks are written (with zeros) before it is used, so that a
// commit changes no metadata and cannot run out of disk.
//
// Content of 256 KiB or more is a file of its own, durable before the record
// that names it.
//
// # The format, version 1
//
// A spool is a directory:
//
//	lock       locked while the spool is open, as the directory itself is
//	key        16 random bytes, also in each segment
//	inhand     which messages are in hand (queue.Marker): 8192 sequence
//	           numbers of 8 bytes, 0 for none
//	log/       the segments, NNNNNNNNNN.log by their number, which only grows;
//	           spare is the next one in the making
//	files/     large content, named for the message's sequence number in
//	           16 hexadecimal digits; tmp-* are files of CreateFile
//	damaged/   what recovery has set aside, SEGMENT-OFFSET-SIZE
//
// All numbers of fixed length are little endian. Checksums are CRC-32C
// (Castagnoli). A segment is a header (segmentHeader in record.go) and records
// up to its end or to bytes that are none. A record is a header (header in
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
// What a commit wrote may be torn by a crash, in any way. The header of each
// record has the offset at which its commit began, and a commit begins only
// when the one before is durable; the header of each segment says where the
// one before ends. By that recovery tells a torn end from damage: whatever
// lies before such an offset was durable once. What lies behind the end that
// the next segment names does not count, whole or not; where whole records lie
// there, that next segment is kept until the one before is gone.
//
// The first 4 and the last 4 bytes of a record's header depend on the spool's
// key and the segment's number. So a segment's file can be used again without
// its old records coming back, and nobody can send a message whose content
// passes for records.
package spool
