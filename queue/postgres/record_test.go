package postgres

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
)

var received = time.Date(2030, 5, 6, 7, 8, 9, 123456789, time.UTC)

// recordMessage returns a message with a recipient that waits for a retry, and one
// that waits for the release of the message.
func recordMessage() *queue.Message {
	auth, prio := "alice", 3
	m := &queue.Message{
		ID: "m1", From: "alice@example.org", Received: received, System: true, Interrupted: 2,
		Origin:     queue.Origin{Connector: "in", ClientAddr: "192.0.2.1", Protocol: "ESMTPS"},
		Recipients: queue.Rcpt("bob@example.net", "carol@example.net"),
	}
	m.Options.Auth, m.Options.Priority, m.Options.Release = &auth, -4, received.Add(time.Hour)
	m.Options.SetLabel("tenant", "t1")
	r := m.Recipients[0]
	r.Options.MTPriority = &prio
	r.Options.Notify = []smtp.DSNNotify{smtp.DSNNotifyFailure}
	r.Attempts, r.NextAttempt, r.RetryWait, r.LastAttempt = 1, received.Add(15*time.Minute), 15*time.Minute, received
	r.Last = queue.Defer(errors.New("greylisted <bob@example.net>"))
	m.Recipients[1].NextAttempt = m.Options.Release
	return m
}

// decode reads both columns of a message with the ID m1.
func decode(t *testing.T, env, st []byte, ahead time.Duration) (*queue.Message, queue.Schedule) {
	t.Helper()
	m := &queue.Message{ID: "m1"}
	if err := decodeEnvelope(m, env); err != nil {
		t.Fatal(err)
	}
	s, err := decodeState(m, st, ahead)
	if err != nil {
		t.Fatal(err)
	}
	return m, s
}

func TestRecordKeepsAllFields(t *testing.T) {
	m := recordMessage()
	sched := queue.Schedule{Due: received.Add(15 * time.Minute), Wait: 15 * time.Minute}
	env, err := encodeEnvelope(m)
	if err != nil {
		t.Fatal(err)
	}
	st, err := encodeState(m, sched, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	got, s := decode(t, env, st, time.Hour)
	if s != sched {
		t.Errorf("the schedule is %+v, want %+v", s, sched)
	}
	want := recordMessage()
	if err := got.Recipients[0].Last.Err; err == nil || err.Error() != want.Recipients[0].Last.Err.Error() {
		t.Errorf("Last.Err is %v, want %v", err, want.Recipients[0].Last.Err)
	}
	got.Recipients[0].Last.Err, want.Recipients[0].Last.Err = nil, nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("decoded %+v, want %+v", got, want)
	}
}

// Each node has a steady clock of its own. A wait is as long for the node that reads
// it as for the one that wrote it. A time of the wall clock does not change.
func TestRecordShiftsSteadyTimes(t *testing.T) {
	m := recordMessage()
	sched := queue.Schedule{Due: received.Add(15 * time.Minute), Wait: 15 * time.Minute}
	env, _ := encodeEnvelope(m)
	st, _ := encodeState(m, sched, time.Hour)    // the clock of the writer is an hour behind
	got, s := decode(t, env, st, -5*time.Minute) // that of the reader is ahead
	const d = 65 * time.Minute
	if !s.Due.Equal(sched.Due.Add(d)) {
		t.Errorf("Due is %v, want %v", s.Due, sched.Due.Add(d))
	}
	r := got.Recipients[0]
	if !r.NextAttempt.Equal(received.Add(15*time.Minute+d)) || !r.LastAttempt.Equal(received.Add(d)) {
		t.Errorf("NextAttempt %v, LastAttempt %v; want them %v later", r.NextAttempt, r.LastAttempt, d)
	}
	if n := got.Recipients[1].NextAttempt; !n.Equal(m.Options.Release) || !got.Received.Equal(received) {
		t.Errorf("NextAttempt is %v and Received %v; the clock of the node does not change them", n, got.Received)
	}
	st, _ = encodeState(m, queue.Schedule{Due: sched.Due}, time.Hour)
	if _, s = decode(t, env, st, -5*time.Minute); !s.Due.Equal(sched.Due) {
		t.Errorf("Due without Wait is %v, want %v", s.Due, sched.Due)
	}
	st, _ = encodeState(m, queue.Schedule{}, time.Hour)
	if _, s = decode(t, env, st, -5*time.Minute); !s.Due.IsZero() {
		t.Errorf("no Due is read as %v", s.Due)
	}
	st, _ = encodeState(m, queue.Schedule{Due: sched.Due, Wait: 1, Volatile: true}, time.Hour)
	if _, s = decode(t, env, st, 0); !s.Due.IsZero() || s.Wait != 0 {
		t.Errorf("a volatile schedule is recorded: %+v", s)
	}
}

// Damage of any byte is found, and so is a value in the row of another message.
func TestRecordFindsDamage(t *testing.T) {
	m := recordMessage()
	env, _ := encodeEnvelope(m)
	st, _ := encodeState(m, queue.Schedule{}, 0)
	for i := range env {
		env[i] ^= 0x10
		if err := decodeEnvelope(&queue.Message{ID: "m1"}, env); !errors.Is(err, queue.ErrDamaged) {
			t.Fatalf("byte %d of the envelope is damaged: %v", i, err)
		}
		env[i] ^= 0x10
	}
	for n := range st {
		if _, err := decodeState(&queue.Message{ID: "m1"}, st[:n], 0); !errors.Is(err, queue.ErrDamaged) {
			t.Fatalf("the state is cut to %d bytes: %v", n, err)
		}
	}
	if err := decodeEnvelope(&queue.Message{ID: "m2"}, env); !errors.Is(err, queue.ErrDamaged) {
		t.Errorf("the envelope of another message: %v", err)
	}
}

// These texts are in databases. They must stay readable.
func TestRecordFormat(t *testing.T) {
	const env = `{"From":"alice@example.org","Options":{"Body":"","Size":0,"RequireTLS":false,"UTF8":false,"Return":"","EnvelopeID":"","Auth":null,"Priority":5,"Release":"0001-01-01T00:00:00Z","Labels":null},"Received":"2030-05-06T07:08:09.123456789Z"}`
	const st = `{"Recipients":[{"Addr":"bob@example.net","Attempts":1,"NextAttempt":"2030-05-06T07:23:09Z","RetryWait":900000000000}],"Due":"2030-05-06T07:23:09Z","Wait":900000000000}`
	m := &queue.Message{ID: "m1", From: "alice@example.org", Received: received, Recipients: queue.Rcpt("bob@example.net")}
	m.Options.Priority = 5
	due := time.Date(2030, 5, 6, 7, 23, 9, 0, time.UTC)
	r := m.Recipients[0]
	r.Attempts, r.NextAttempt, r.RetryWait = 1, due, 15*time.Minute
	gotEnv, _ := encodeEnvelope(m)
	gotSt, _ := encodeState(m, queue.Schedule{Due: due, Wait: 15 * time.Minute}, 0)
	if g := string(gotEnv[:len(gotEnv)-4]); g != env {
		t.Errorf("the envelope is\n%s, want\n%s", g, env)
	}
	if g := string(gotSt[:len(gotSt)-4]); g != st {
		t.Errorf("the state is\n%s, want\n%s", g, st)
	}
	if !strings.HasSuffix(string(gotEnv), "\xf2\xe4\x84\xeb") { // CRC-32C of m1 and the JSON
		t.Errorf("the checksum is %x", gotEnv[len(gotEnv)-4:])
	}
	got, s := decode(t, gotEnv, gotSt, 0)
	if got.Options.Priority != 5 || !s.Due.Equal(due) || got.Recipients[0].RetryWait != 15*time.Minute {
		t.Errorf("decoded %+v, %+v", got, s)
	}
}

// A time that JSON cannot express is an error of Put, not a message that cannot be read.
func TestRecordRefusesImpossibleTimes(t *testing.T) {
	m := recordMessage()
	m.Received = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
	if _, err := encodeEnvelope(m); err == nil || !strings.Contains(err.Error(), "m1") {
		t.Errorf("the error is %v, want one that names the message", err)
	}
}

// FuzzRecord decodes damaged states whose checksum is right. It must not panic, and
// what it accepts must be encoded and decoded again.
func FuzzRecord(f *testing.F) {
	st, _ := encodeState(recordMessage(), queue.Schedule{Due: received, Wait: time.Minute}, 0)
	f.Add(st[:len(st)-4])
	f.Add([]byte(`{"Recipients":[{"Addr":"a","NextAttempt":"9999-12-31T23:59:59Z","RetryWait":1}]}`))
	f.Add([]byte(`{"Recipients":null,"Due":"0000-01-01T00:00:00Z","Wait":-1}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, b []byte) {
		sealed, err := seal("m1", json.RawMessage(b))
		if err != nil {
			return // no JSON
		}
		m := &queue.Message{ID: "m1"}
		s, err := decodeState(m, sealed, time.Minute)
		if err != nil {
			if !errors.Is(err, queue.ErrDamaged) {
				t.Fatalf("the error is %v", err)
			}
			return
		}
		again, err := encodeState(m, s, time.Minute)
		if err != nil {
			t.Fatalf("what was decoded cannot be encoded: %v", err)
		}
		m2 := &queue.Message{ID: "m1"}
		s2, err := decodeState(m2, again, time.Minute)
		if err != nil || s2 != s || len(m2.Recipients) != len(m.Recipients) {
			t.Fatalf("decoded %+v, then %+v, %v", s, s2, err)
		}
	})
}
