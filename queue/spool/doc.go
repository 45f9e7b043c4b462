// Package spool is a durable queue.Store for one relay. It stores mail in files
// on a local disk.
//
//	store, err := spool.Open("/var/spool/relay", nil)
//	if err != nil { ... }
//	defer store.Close()
//	server.ContentFile = store.CreateFile // large mail is written once
//	q := &queue.Queue{Store: store, Deliverer: router}
//
// # Durability
//
// When Put returns nil, the message is on stable storage: its bytes (fdatasync on
// Linux) and the names of new files have been synced.
//
// Update and Remove, called dispositions, do not wait for a sync. They are
// written with the next commit, at most 100 ms later. A volatile schedule is not
// written at all.
//
// When a sync fails, the spool no longer trusts that segment of the log. It
// begins a new segment and writes to it the records that were not acknowledged
// yet. Then it copies the acknowledged records of the old segment.
//
// When Put returns an error, nothing of the message is left, with one
// exception. It can happen that a sync fails, and that the spool then can
// neither begin a new segment nor write to the failed one. In this state, the
// records of that commit may be on disk, and nothing on disk marks them as
// refused. If the process dies in this state, the messages of that one commit
// may be in the queue after the restart. The spool tries every second to leave
// this state, even if there is no new mail. Until it succeeds, it writes
// nothing else. So messages that it refuses in this state cannot come back.
//
// # A full or broken disk
//
// On a full disk the spool refuses new mail (queue.ErrFull) before its last
// segment is full. At least a quarter of the segment is left for dispositions.
// So mail that was accepted earlier can still be read, updated and removed.
// Segments that become free are reused, which needs no disk space.
//
// A file system with copy-on-write (btrfs, ZFS) needs new disk space to overwrite
// existing blocks. On btrfs the spool marks its log directory NOCOW, so that new segments
// are overwritten in place. On other file systems of this kind, and for
// segments of earlier programs, the spool keeps a file with the name reserve.
// It contains random bytes, as many as a quarter of a segment has. When the
// disk is full, the spool deletes this file and uses its space to record
// dispositions, if necessary in a short new segment. It refuses new mail until
// it can create the file again. On such a file system another program can use
// up the space of the deleted file. Then dispositions cannot be recorded.
//
// If a disk cannot be written at all, Put, Update, Remove and Sync fail. Mail
// can still be read.
//
// # Recovery
//
// Open reads the records of the log once, from the oldest to the newest
// ([Recovery]). It does not read the unused part of a segment. Then it
// continues the last segment. If each process began a new segment, processes
// that die soon would leave many segments that are nearly empty. If the log is
// longer than its limit, Open compacts it before it returns. A crash can leave
// incomplete records at the end. They were never acknowledged, and Open cuts
// them off. The log has a list of its segments. Open reports each segment that
// is in the list and does not exist, once. A content file without a message is
// deleted if no segment is missing and a crash can have left the file.
// Otherwise Open moves it to the directory damaged, which has limits (Options);
// if the list does not show that a segment is missing, Open reports the file.
// Damaged bytes
// elsewhere are reported and copied to a file in the directory damaged, and all
// other records are recovered. A message with damaged content stays in the
// queue. An attempt to read its content fails with queue.ErrDamaged. Inspect
// reads a spool without opening it. The command examples/spooltool uses
// Inspect.
//
// # Size
//
// A waiting message takes about 150 bytes of memory. On disk its record takes
// about 150 bytes in addition to content and addresses. Each segment needs an
// open file, so a spool of 100 GB needs 1600 file descriptors.
//
// # How it works
//
// A Spool has three parts. Each is a type with its own lock:
//
//   - recordLog (log.go) stores the records: messages, new states, removals. The
//     log is a sequence of files, the segments. Records are appended to the last
//     one, the active segment. Goroutines that write at the same time share one
//     write and one sync. This is called a commit (commit.go).
//   - messageIndex (messages.go) has in memory where the newest record of each
//     message is, and when each message is due (queue/internal/index). Envelope
//     and content are read from the log when they are needed.
//   - contentFiles (contentfiles.go) stores each content of 256 KiB or more in a
//     file of its own. The file is durable before the record is written.
//
// When no record of a segment is needed, the segment is deleted or its file is
// reused for the next segment. When at most a quarter of a segment is needed, and
// its last write was 10 seconds ago or more, compaction copies the needed records
// to the active segment (compact.go). So on average each byte is written at
// most 4/3 times. The log is at most four times as long as the needed records,
// plus the two segments at its end. Open compacts the log until this is true,
// so the limit also applies if each process runs only for a short time.
//
// A segment is filled with zeros before it is used. So a commit changes no
// metadata of the file system and needs no new disk space.
//
// # The format, version 5
//
// A spool is a directory:
//
//	lock       a file that is locked while the spool is open. The directory
//	           itself is locked too.
//	key        16 random bytes, also in each segment
//	reserve    random bytes, deleted when the disk is full
//	inhand     which messages are being delivered (queue.DeliveryJournal): 8192
//	           sequence numbers of 8 bytes, 0 for none
//	suspensions
//	           the next hops and domains that are suspended, as text
//	           (suspensions.go). It does not exist if there are none.
//	log/       the segments. Their names are NNNNNNNNNN.log, with the number of
//	           the segment. Each new segment gets a higher number. The file
//	           spare is the next segment, which is not in use yet. It begins
//	           with BHspare when it is complete, or with the header of an
//	           earlier segment.
//	           The file list has the numbers of the segments
//	           (segmentlist.go).
//	files/     large content, named by the message's sequence number in
//	           16 hexadecimal digits; tmp-* are files of CreateFile
//	damaged/   damaged bytes, in files named SEGMENT-OFFSET-SIZE, and content
//	           files of damaged messages
//
// All numbers of fixed length are little endian. Checksums are CRC-32C
// (Castagnoli). A segment is a header (segmentHeader in record.go) and records, up
// to its end or to bytes that are not a record. A record is a header (header in
// record.go), its meta, its body, and zeros up to a multiple of 8 bytes. The
// header has the kind of the record and the sequence number of the message:
//
//	1 message   meta: head, state, envelope; body: the content that is not in
//	            a file
//	2 state     meta: message ID, state. It replaces the message's state.
//	3 removal   meta: the number (8 bytes) of the segment that had the message
//	4 change    meta: message ID, schedule, some recipients. They replace the
//	            schedule and the same recipients in the message's state.
//
// Head, state and envelope are sequences of values in the order of the code in
// envelope.go. wire.go has their encoding. Recovery replays the records in order.
// A message record adds the message, or replaces it if compaction has moved it.
// States, changes and removals of messages that do not exist are ignored.
//
// Changes keep the cost of a message with many next hops proportional to the number
// of its recipients: each delivery writes the recipients that it has changed. When
// the changes have as many recipients as the message, a state replaces them.
//
// Version 1 has no change records, and its schedules have no Wait. Version 2 has no
// extensions of the envelope, which contain the labels of a message. Version 3 has
// no file suspensions; an older program would deliver suspended mail. Version 4 has
// no ServerAddr and no Internal of a message's origin. This program can read
// versions 1 to 4, and writes version 5 in each new segment. On a full disk it may
// continue a last segment of an earlier version. Before that, it changes the version
// of this segment to 5. An older program refuses a spool that has a segment of a
// later version.
//
// After a crash, any part of the last commit may be on disk (a torn commit).
// Recovery must distinguish this from damage to records that were durable. The
// header of each record has the offset at which its commit began, and a commit
// begins only when the one before is durable. The header of each segment has
// the offset at which the segment before ends. All bytes before such an offset
// were durable once. Recovery ignores records after the end of a segment that
// is in the next header, whether they are complete or not. If some of these
// records are complete, the next segment is kept until their segment is
// deleted. A process that continues the last segment first writes a removal of
// message 0, which does not exist. The header of this record shows that all
// records before it were durable.
//
// The first 4 and the last 4 bytes of a record's header depend on the key of the
// spool and the number of the segment. So when the file of a segment is reused,
// recovery does not accept the old records in it. It also does not accept
// message content that looks like a record.
package spool
