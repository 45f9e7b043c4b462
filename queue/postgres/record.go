package postgres

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// The columns envelope and state of a message are JSON followed by a CRC-32C over the
// message ID and the JSON. PostgreSQL has no checksums of its pages unless the
// database was created with them.
//
// The version of the schema is also that of the JSON. A field that a program must know
// to deliver the message needs a new version.

// An envelope is what never changes of a message, without its content.
type envelope struct {
	From     string
	Options  queue.MessageOptions `json:",omitzero"`
	Received time.Time
	Origin   queue.Origin `json:",omitzero"`
	System   bool         `json:",omitzero"`
}

// A state is what Update changes. Due, and the steady times of the recipients, are by
// the clock of the database.
type state struct {
	Recipients  []recipient
	Interrupted int           `json:",omitzero"` // without the column interrupted: see journal.go
	Due         time.Time     `json:",omitzero"` // with all its digits, which the column due does not have
	Wait        time.Duration `json:",omitzero"`
}

// A recipient is a queue.Recipient whose JSON omits what is zero. The conversion does
// not compile if a field is missing here.
type recipient struct {
	Addr         string
	Options      queue.RcptOptions `json:",omitzero"`
	Route        queue.NextHop     `json:",omitzero"`
	Status       queue.Status      `json:",omitzero"`
	Notified     bool              `json:",omitzero"`
	Acknowledged bool              `json:",omitzero"`
	ResultTries  int               `json:",omitzero"`
	Attempts     int               `json:",omitzero"`
	NextAttempt  time.Time         `json:",omitzero"`
	RetryWait    time.Duration     `json:",omitzero"`
	Last         queue.Result      `json:",omitzero"`
	LastAttempt  time.Time         `json:",omitzero"`
}

// encodeEnvelope returns the column envelope of m.
func encodeEnvelope(m *queue.Message) ([]byte, error) {
	o := m.Options
	o.Release = o.Release.UTC()
	return seal(m.ID, envelope{m.From, o, m.Received.UTC(), m.Origin, m.System})
}

// decodeEnvelope sets the fields of m that are in the column envelope. m.ID is set. The
// error is ErrDamaged.
func decodeEnvelope(m *queue.Message, b []byte) error {
	var e envelope
	if err := unseal(m.ID, b, &e); err != nil {
		return err
	}
	m.From, m.Options, m.Received, m.Origin, m.System = e.From, e.Options, e.Received, e.Origin, e.System
	return nil
}

// encodeState returns the column state of m with the schedule s. ahead is the clock of
// the database minus the clock of the Queue.
func encodeState(m *queue.Message, s queue.Schedule, ahead time.Duration) ([]byte, error) {
	st := state{Recipients: make([]recipient, len(m.Recipients)), Interrupted: m.Interrupted}
	if !s.Volatile {
		st.Due, st.Wait = shiftDue(s.Due, s.Wait, ahead), s.Wait
	}
	for i, r := range m.Recipients {
		st.Recipients[i] = recipient(*r)
		st.Recipients[i].shift(ahead)
	}
	return seal(m.ID, st)
}

// decodeState sets m.Recipients and m.Interrupted from the column state, and returns
// Due and Wait of the schedule, by the clock of the Queue. m.ID is set. The error is
// ErrDamaged.
func decodeState(m *queue.Message, b []byte, ahead time.Duration) (queue.Schedule, error) {
	var st state
	if err := unseal(m.ID, b, &st); err != nil {
		return queue.Schedule{}, err
	}
	m.Interrupted = st.Interrupted
	m.Recipients = make([]*queue.Recipient, len(st.Recipients))
	for i := range st.Recipients {
		st.Recipients[i].shift(-ahead)
		m.Recipients[i] = (*queue.Recipient)(&st.Recipients[i])
	}
	return queue.Schedule{Due: shiftDue(st.Due, st.Wait, -ahead), Wait: st.Wait}, nil
}

// shift moves the steady times of r by d.
func (r *recipient) shift(d time.Duration) {
	r.NextAttempt = shiftDue(r.NextAttempt, r.RetryWait, d)
	r.LastAttempt = shiftTime(r.LastAttempt, d)
}

// shiftDue moves a due time by d if it is a steady time: see queue.Schedule.
func shiftDue(due time.Time, wait, d time.Duration) time.Time {
	if wait <= 0 {
		d = 0
	}
	return shiftTime(due, d)
}

func shiftTime(t time.Time, d time.Duration) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.Add(d).UTC()
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal returns the JSON of v with a checksum over id and the JSON. A value in the row
// of another message is found too.
func seal(id string, v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("queue/postgres: message %s cannot be encoded: %w", id, err)
	}
	return binary.BigEndian.AppendUint32(b, sealSum(id, b)), nil
}

// unseal decodes what seal returned into v. The error is ErrDamaged.
func unseal(id string, b []byte, v any) error {
	n := len(b) - 4
	if n < 0 || sealSum(id, b[:n]) != binary.BigEndian.Uint32(b[n:]) {
		return queue.ErrDamaged
	}
	if err := json.Unmarshal(b[:n], v); err != nil {
		return fmt.Errorf("%w: %w", queue.ErrDamaged, err)
	}
	return nil
}

func sealSum(id string, b []byte) uint32 {
	return crc32.Update(crc32.Checksum([]byte(id), castagnoli), castagnoli, b)
}
