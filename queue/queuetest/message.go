package queuetest

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// full returns a message in which each field has a different value, including
// fields that are added later. A test then detects a store that loses one.
func full(id string) *queue.Message {
	m := new(queue.Message)
	n := 0
	fill(reflect.ValueOf(m).Elem(), &n)
	m.ID = id
	m.Options.Priority = -4
	m.Content = queue.String("Subject: all\r\n\r\nof it\r\n")
	m.Interrupted = 0 // the store sets it
	return m
}

// fill gives all fields of a struct different values.
func fill(v reflect.Value, n *int) {
	*n++
	switch x := v.Addr().Interface().(type) {
	case *time.Time:
		*x = t0.Add(time.Duration(*n) * time.Millisecond)
		return
	case *error:
		*x = fmt.Errorf("error %d", *n)
		return
	case *queue.Content:
		return
	case *smtp.EnhancedCode:
		*x = smtp.EnhancedCode{4, *n, 1}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() { // a Store does not see the others
				fill(v.Field(i), n)
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n)
		fill(v.Index(1), n)
	case reflect.Map: // Options.Labels
		v.Set(reflect.ValueOf(map[string]string{fmt.Sprintf("key%d", *n): fmt.Sprintf("value %d", *n), "empty": ""}))
	case reflect.String:
		v.SetString(fmt.Sprintf("text %d", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint8:
		v.SetUint(uint64(*n%3 + 1))
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	default:
		panic("queuetest: no value for " + v.Type().String())
	}
}

// sameMessage compares all fields but Interrupted. It compares errors by their
// text, and times as instants. rule is the rule of the interface that the store
// violates if they differ.
func sameMessage(t *testing.T, rule string, got, want *queue.Message) {
	t.Helper()
	if diff := differ("Message", reflect.ValueOf(*got), reflect.ValueOf(*want)); diff != "" {
		t.Fatalf("%s: %s: %s", rule, want.ID, diff)
	}
	if g, w := read(t, rule, got.Content), read(t, rule, want.Content); g != w {
		t.Fatalf("%s: %s: the content is %.100q, want %.100q", rule, want.ID, g, w)
	}
}

func differ(path string, a, b reflect.Value) string {
	switch x := a.Interface().(type) {
	case time.Time:
		if y := b.Interface().(time.Time); !x.Equal(y) {
			return fmt.Sprintf("%s is %v, want %v", path, x, y)
		}
		return ""
	case queue.Content:
		return ""
	case error:
		if fmt.Sprint(x) != fmt.Sprint(b.Interface()) {
			return fmt.Sprintf("%s is %v, want %v", path, x, b)
		}
		return ""
	}
	switch a.Kind() {
	case reflect.Struct:
		for i := range a.NumField() {
			field := a.Type().Field(i)
			if name := field.Name; field.IsExported() && name != "Interrupted" && name != "Content" {
				if d := differ(path+"."+name, a.Field(i), b.Field(i)); d != "" {
					return d
				}
			}
		}
	case reflect.Pointer:
		if a.IsNil() != b.IsNil() {
			return fmt.Sprintf("%s is %v, want %v", path, a, b)
		}
		if !a.IsNil() {
			return differ(path, a.Elem(), b.Elem())
		}
	case reflect.Slice:
		if a.Len() != b.Len() {
			return fmt.Sprintf("%s has %d elements, want %d", path, a.Len(), b.Len())
		}
		for i := range a.Len() {
			if d := differ(fmt.Sprintf("%s[%d]", path, i), a.Index(i), b.Index(i)); d != "" {
				return d
			}
		}
	case reflect.Map:
		if a.Len() != b.Len() || !reflect.DeepEqual(a.Interface(), b.Interface()) && a.Len() > 0 {
			return fmt.Sprintf("%s is %v, want %v", path, a, b)
		}
	default:
		if a.Interface() != b.Interface() {
			return fmt.Sprintf("%s is %v, want %v", path, a, b)
		}
	}
	return ""
}

func update(t *testing.T, f *fixture) {
	f.put(message("m1"), queue.Schedule{})
	m := f.claim(claim("a", 0, 1))[0]
	want := full("x")
	m.Recipients = append(want.Recipients, queue.Rcpt("new@example.net")...)
	hop := queue.NextHop{Connector: "c", Destination: "d"}
	f.update("a", m, queue.Schedule{Due: at(time.Hour), Hop: hop})
	got := f.get("m1")
	want.Recipients = m.Recipients
	want.ID, want.From, want.Options, want.Content = got.ID, got.From, got.Options, got.Content
	want.Received, want.Origin, want.System = got.Received, got.Origin, got.System
	sameMessage(t, recordsRecipients+"; envelope and content do not change", got, want)

	e := f.list(queue.Query{})[0]
	if e.Schedule.Hop != hop || !e.Schedule.Due.Equal(at(time.Hour)) || e.Schedule.Owner != "" {
		t.Fatalf("Update records the schedule and releases the lease unless s.Owner is set: %+v, want Due %v, Hop %v and no Owner", e.Schedule, at(time.Hour), hop)
	}
	if err := f.st.Update(ctx, "a", m, queue.Schedule{}); !errors.Is(err, queue.ErrLeaseLost) {
		t.Fatalf("Update returns ErrLeaseLost if owner does not hold the lease (here, after an Update that released it): %v", err)
	}
	sameIDs(t, exclusive, f.claim(claim("b", time.Hour-1, 10)))
	ms := f.claim(claim("b", time.Hour, 10))
	sameIDs(t, claimsDue, ms, "m1")

	// An update may keep the lease.
	ms[0].Recipients = ms[0].Recipients[:1]
	f.update("b", ms[0], queue.Schedule{Owner: "b", Until: at(2 * time.Hour), Volatile: true})
	sameIDs(t, "Update keeps the lease if s.Owner is set", f.claim(claim("c", 2*time.Hour-1, 10)))
	if n := len(f.get("m1").Recipients); n != 1 {
		t.Fatalf("%s, also with a Volatile schedule: %d recipients, want 1", recordsRecipients, n)
	}
	if err := f.st.Update(ctx, "b", message("unknown"), queue.Schedule{}); !errors.Is(err, queue.ErrNotFound) {
		t.Fatalf("Update returns ErrNotFound if the message is not in the store: %v", err)
	}
}

const recordsRecipients = "Update records m.Recipients: their number, and each field of each"

// updateInterrupted records that the process died, and that it survived.
func updateInterrupted(t *testing.T, f *fixture) {
	f.put(message("m1"), queue.Schedule{})
	for _, n := range []int{3, 0, 1} {
		ms := f.claim(claim("a", 0, 1))
		sameIDs(t, claimsDue, ms, "m1")
		ms[0].Interrupted = n
		f.update("a", ms[0], queue.Schedule{})
		if f.c.Durable {
			f.reopen()
		}
		if got := f.get("m1").Interrupted; got != n {
			t.Fatalf("Update records m.Interrupted: it is %d, want %d", got, n)
		}
	}
}

// many is the number of recipients of the tests of RecipientUpdater.
const many = 10

// updater returns the store as a RecipientUpdater, and a message with many recipients
// that a has leased. It returns nil if the store is none.
func (f *fixture) updater() (queue.RecipientUpdater, *queue.Message) {
	u, ok := f.st.(queue.RecipientUpdater)
	if !ok {
		return nil, nil
	}
	m := message("m1")
	m.Recipients = nil
	for i := range many {
		m.Recipients = append(m.Recipients, queue.Rcpt(fmt.Sprintf("to%d@example.net", i))...)
	}
	f.put(m, queue.Schedule{Owner: "a", Until: at(lease)})
	return u, m
}

// change records a new state of the recipients with the indexes changed.
func (f *fixture) change(u queue.RecipientUpdater, m *queue.Message, s queue.Schedule, changed ...int) {
	f.t.Helper()
	for _, i := range changed {
		r := m.Recipients[i]
		r.Attempts++
		r.Last.Reply.Message = fmt.Sprint("reply ", r.Attempts)
	}
	if err := u.UpdateRecipients(ctx, "a", m, changed, s); err != nil {
		f.t.Fatalf("UpdateRecipients succeeds for the owner of the lease: %v", err)
	}
}

func updateRecipients(t *testing.T, f *fixture) {
	u, m := f.updater()
	if u == nil {
		t.Log("not tested: the store is not a queue.RecipientUpdater")
		return
	}
	keep := queue.Schedule{Owner: "a", Until: at(lease)}
	for i := range 4 * many { // more often than a store may collect changes
		f.change(u, m, keep, i*7%many, (i*3+1)%many)
		sameMessage(t, someRecipients, f.get("m1"), m)
	}
	sameIDs(t, "UpdateRecipients keeps the lease if s.Owner is set", f.claim(claim("b", 0, 10)))
	m.Recipients[0].Status = queue.Delivered
	f.update("a", m, keep) // of all recipients
	f.change(u, m, keep, 3)
	sameMessage(t, someRecipients+", also after an Update of all", f.get("m1"), m)

	m.Interrupted = 2
	f.change(u, m, queue.Schedule{Due: at(time.Hour), Hop: hopB}, 5)
	e := f.list(queue.Query{})[0]
	if s := e.Schedule; s.Hop != hopB || !s.Due.Equal(at(time.Hour)) || s.Owner != "" {
		t.Fatalf("UpdateRecipients records the schedule and releases the lease unless s.Owner is set: %+v, want Due %v, Hop %v and no Owner", s, at(time.Hour), hopB)
	}
	if n := f.get("m1").Interrupted; n != 2 {
		t.Fatalf("UpdateRecipients records m.Interrupted, as Update does: it is %d, want 2", n)
	}
	if err := u.UpdateRecipients(ctx, "a", m, []int{1}, keep); !errors.Is(err, queue.ErrLeaseLost) {
		t.Fatalf("UpdateRecipients returns ErrLeaseLost if owner does not hold the lease: %v", err)
	}
	ms := f.claim(claim("b", time.Hour, 10))
	sameIDs(t, claimsDue, ms, "m1")
	sameMessage(t, someRecipients, ms[0], m)
	f.remove("b", "m1")
	if err := u.UpdateRecipients(ctx, "b", m, []int{1}, keep); !errors.Is(err, queue.ErrNotFound) {
		t.Fatalf("UpdateRecipients returns ErrNotFound if the message is not in the store: %v", err)
	}
}

const someRecipients = "UpdateRecipients records the recipients with the indexes changed, and does not change the others"

func reopenChanges(t *testing.T, f *fixture) {
	u, m := f.updater()
	if u == nil {
		t.Log("not tested: the store is not a queue.RecipientUpdater")
		return
	}
	for i := range many + 3 {
		f.change(u, m, queue.Schedule{Owner: "a", Until: at(lease)}, i%many)
	}
	f.change(u, m, queue.Schedule{Due: at(time.Hour), Hop: hopB}, 1, 4)
	for range 3 {
		f.reopen()
		sameMessage(t, "after Close and Open, a message has the recipients of the last UpdateRecipients", f.get("m1"), m)
		if s := f.list(queue.Query{})[0].Schedule; s.Hop != hopB || !s.Due.Equal(at(time.Hour)) {
			t.Fatalf("after Close and Open, a message has the schedule of the last UpdateRecipients: %+v, want Due %v, Hop %v", s, at(time.Hour), hopB)
		}
	}
}

func remove(t *testing.T, f *fixture) {
	f.put(message("m1"), queue.Schedule{})
	if err := f.st.Remove(ctx, "a", "m1"); !errors.Is(err, queue.ErrLeaseLost) {
		t.Fatalf("Remove returns ErrLeaseLost if owner does not hold the lease (here, the message is not leased): %v", err)
	}
	f.claim(claim("a", 0, 1))
	if err := f.st.Remove(ctx, "b", "m1"); !errors.Is(err, queue.ErrLeaseLost) {
		t.Fatalf("Remove returns ErrLeaseLost if another owner holds the lease: %v", err)
	}
	f.remove("a", "m1")
	if err := f.st.Remove(ctx, "a", "m1"); !errors.Is(err, queue.ErrNotFound) {
		t.Fatalf("Remove returns ErrNotFound if the message is not in the store (here, after Remove): %v", err)
	}
	if _, err := f.st.Get(ctx, "m1"); !errors.Is(err, queue.ErrNotFound) {
		t.Fatalf("Get returns ErrNotFound after Remove: %v", err)
	}
	sameIDs(t, "Claim does not return a removed message", f.claim(claim("b", time.Hour, 10)))
	if es := f.list(queue.Query{}); len(es) != 0 {
		t.Fatalf("List does not return a removed message: it has %d entries", len(es))
	}
	if err := f.st.Sync(ctx); err != nil {
		t.Fatalf("Sync returns nil if the store can record: %v", err)
	}
}

func get(t *testing.T, f *fixture) {
	f.put(full("m1"), queue.Schedule{Due: at(time.Hour)})
	sameMessage(t, "Get returns each field of the message as it was put (Result.Err by its text)", f.get("m1"), full("m1"))
	f.claim(claim("a", time.Hour, 1))
	sameMessage(t, "Get returns a leased message as it was put", f.get("m1"), full("m1"))
	for _, id := range []string{"m", "m10", "", strings.Repeat("x", 100)} {
		if _, err := f.st.Get(ctx, id); !errors.Is(err, queue.ErrNotFound) {
			t.Errorf("Get returns ErrNotFound if the message is not in the store, also for an ID that is not valid: Get %q returned %v", id, err)
		}
	}
}
