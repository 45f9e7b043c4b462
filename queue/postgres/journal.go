package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/bridgehead-mail/bridgehead/internal/filelock"
	"github.com/bridgehead-mail/bridgehead/queue/internal/marks"
)

// The journal is the file Options.Journal. It has an entry for each message that this
// process is delivering: see package marks. When the process dies, the next one with the
// same file reads the entries, and adds 1 to the column interrupted of their messages.
// Message.Interrupted is the sum of this column and of the number in the column state,
// which a record of the message sets. So an interruption is not lost if another node has
// the message already and records it later.
//
// The file is a header, followed by the entries. All integers are little-endian.
//
//	header: magic (24 bytes), the number of entries (4), the size of an entry (4), the
//	        generation (8), zeros (20), CRC-32C of the bytes before (4)
//	entry:  CRC-32C of the other bytes (4), zeros (3), the length of the ID (1), the number
//	        of the lease (8), the ID and zeros (64)
//
// An entry that the process was writing when it was killed has a wrong checksum. Its
// delivery had not begun.
const (
	journalMagic   = "bridgehead deliveries 1\n"
	journalFamily  = "bridgehead deliveries "
	journalHeader  = 64
	journalEntry   = 80
	journalMaxID   = 64 // see queue.ValidID
	journalFileLen = journalHeader + marks.Slots*journalEntry
)

// journal is the open journal of a Store. Without a file it does nothing.
type journal struct {
	file  *os.File // locked; nil: there is none
	found journalContent
	marks *marks.Set // nil until startJournal
}

// journalContent is what a journal has of the last process.
type journalContent struct {
	generation int64 // random, for each process
	ids        []string
	leases     []int64
	damaged    bool // the header was, so nothing else could be read
}

// openJournal opens and locks the file, and reads what the last process has left in it.
func openJournal(name string) (j journal, err error) {
	if name == "" {
		return journal{}, nil
	}
	defer func() {
		if err != nil && j.file != nil {
			j.file.Close()
		}
		if err != nil {
			err = &settingError{"Journal: " + err.Error()}
		}
	}()
	if j.file, err = os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return j, err
	}
	if info, err := j.file.Stat(); err != nil || !info.Mode().IsRegular() {
		return j, errors.Join(err, fmt.Errorf("%s is not a regular file", name))
	}
	if err := filelock.Lock(j.file); err != nil {
		return j, fmt.Errorf("%s: %w", name, err)
	}
	b, err := io.ReadAll(io.NewSectionReader(j.file, 0, journalFileLen))
	if err != nil {
		return j, err
	}
	if j.found, err = readJournal(b); err != nil {
		return j, fmt.Errorf("%s %w", name, err)
	}
	return j, nil
}

// readJournal reads the bytes of a journal. A file of zeros is one that was not
// completely created. The error is for a file that must not be overwritten.
func readJournal(b []byte) (c journalContent, err error) {
	header := b[:min(len(b), journalHeader)]
	switch {
	case strings.Trim(string(header), "\x00") == "":
		return c, nil
	case !strings.HasPrefix(string(header), journalFamily):
		return c, errors.New("is not a journal of deliveries")
	case !strings.HasPrefix(string(header), journalMagic):
		return c, errors.New("was written by another version of this program")
	}
	sum := crc(header[:len(header)-4])
	if len(header) < journalHeader || uint32(sum) != binary.LittleEndian.Uint32(header[journalHeader-4:]) ||
		binary.LittleEndian.Uint32(header[24:]) != marks.Slots || binary.LittleEndian.Uint32(header[28:]) != journalEntry {
		return journalContent{damaged: true}, nil
	}
	c.generation = int64(binary.LittleEndian.Uint64(header[32:]))
	for b = b[journalHeader:]; len(b) >= journalEntry; b = b[journalEntry:] {
		if id, lease, ok := readEntry(b[:journalEntry]); ok {
			c.ids, c.leases = append(c.ids, id), append(c.leases, lease)
		}
	}
	return c, nil
}

// journalHead returns the header of a journal.
func journalHead(generation int64) []byte {
	b := make([]byte, journalHeader)
	copy(b, journalMagic)
	binary.LittleEndian.PutUint32(b[24:], marks.Slots)
	binary.LittleEndian.PutUint32(b[28:], journalEntry)
	binary.LittleEndian.PutUint64(b[32:], uint64(generation))
	binary.LittleEndian.PutUint32(b[journalHeader-4:], uint32(crc(b[:journalHeader-4])))
	return b
}

// readEntry reads an entry. ok is false if it is free or not completely written.
func readEntry(b []byte) (id string, lease int64, ok bool) {
	n := b[7]
	if n == 0 || n > journalMaxID || crc32.Checksum(b[4:], crcTable) != binary.LittleEndian.Uint32(b) {
		return "", 0, false
	}
	return string(b[16:][:n]), int64(binary.LittleEndian.Uint64(b[8:])), true
}

// writeEntry is the inverse of readEntry.
func writeEntry(b *[journalEntry]byte, id string, lease int64) {
	b[7] = byte(copy(b[16:], id))
	binary.LittleEndian.PutUint64(b[8:], uint64(lease))
	binary.LittleEndian.PutUint32(b[:], crc32.Checksum(b[4:], crcTable))
}

// applyJournal adds 1 to interrupted of the messages of a journal that are still there.
// The row in outcome makes sure that it does so once: the process may die, or lose the
// answer, before the journal is cleared. A message whose lease has a lower number is not
// the one of the entry: it was stored later with the same ID.
const applyJournal = `
with first as (
	insert into bridgehead.outcome (key, missing) values ($1, '{}')
	on conflict do nothing returning 1)
update bridgehead.message m set interrupted = interrupted + 1
from unnest($2::text[], $3::bigint[]) j (id, lease)
where m.id = j.id and m.lease >= j.lease and exists (select from first)
returning m.id`

// startJournal counts the interruptions that the last process has left, and begins a new
// journal.
func (s *Store) startJournal(ctx context.Context) error {
	j := &s.journal
	if j.file == nil {
		s.log.Warn("Options.Journal is not set: messages that make the process crash are not detected")
		return nil
	}
	if j.found.damaged {
		s.log.Warn("the journal of deliveries is damaged; messages that were in delivery when the last process ended are not known", "file", j.file.Name())
	}
	if len(j.found.ids) > 0 {
		if err := s.applyJournal(ctx, &j.found); err != nil {
			return err
		}
	}
	if err := j.begin(); err != nil {
		return &settingError{"Journal: " + err.Error()}
	}
	s.atClose(func(context.Context) error { return j.marks.Close() })
	return nil
}

// applyJournal counts the interruptions of the messages of c.
func (s *Store) applyJournal(ctx context.Context, c *journalContent) error {
	var ids []string
	run := func() error {
		return s.db.tx(ctx, func(b *pgx.Batch) {
			b.Queue(applyJournal, c.generation, c.ids, c.leases).Query(func(rows pgx.Rows) (err error) {
				ids, err = pgx.CollectRows(rows, pgx.RowTo[string])
				return err
			})
		})
	}
	err := run()
	for try := 1; errors.Is(err, errOutcomeUnknown) && try < attempts && sleep(ctx, backoff(try)); try++ {
		err = run()
	}
	if len(ids) > 0 && err == nil {
		const most = 20 // in the log
		s.log.Warn("the last process of this node died while it delivered messages; one of them may be the reason",
			"messages", len(ids), "ids", ids[:min(len(ids), most)])
	}
	return err
}

// begin clears the file, gives it a new generation, and maps it. The entries are cleared
// before the generation changes: if the process dies in between, they are not counted
// again.
func (j *journal) begin() error {
	// Write the file instead of extending it, so that every page has a block on disk.
	if _, err := j.file.WriteAt(make([]byte, journalFileLen-journalHeader), journalHeader); err != nil {
		return err
	}
	if _, err := j.file.WriteAt(journalHead(randomID()), 0); err != nil {
		return err
	}
	if err := j.file.Sync(); err != nil {
		return err
	}
	mem, unmap, err := marks.Map(j.file, journalFileLen)
	if err != nil {
		return err
	}
	j.marks = marks.New(mem[journalHeader:], journalEntry, unmap)
	return nil
}

// close unlocks the file.
func (j *journal) close() error {
	if j.file == nil {
		return nil
	}
	return j.file.Close()
}

// Begin implements [queue.DeliveryJournal].
func (s *Store) Begin(id string) {
	if s.journal.marks == nil || len(id) > journalMaxID {
		return
	}
	lease, _ := s.leases.find(id)
	var entry [journalEntry]byte
	writeEntry(&entry, id, lease.number)
	s.journal.marks.Begin(id, entry[:])
}

// End implements [queue.DeliveryJournal].
func (s *Store) End(id string) {
	if s.journal.marks != nil {
		s.journal.marks.End(id)
	}
}
