package queuetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

var (
	hopSuspension = queue.Suspension{Hop: hopA, Reason: "the customer moves: \"pause\"\nuntil noon \xff", By: "alice@example.org",
		Since: at(123456 * time.Microsecond), Until: at(time.Hour)}
	domainSuspension = queue.Suspension{Domain: "example.org", Since: at(time.Second)}
)

const keepsSuspensions = "Suspensions returns what PutSuspension has stored and RemoveSuspension has not removed, with all fields"

// suspensionStore returns the store as a queue.SuspensionStore. ok is false if it
// is none.
func (f *fixture) suspensionStore() (st queue.SuspensionStore, ok bool) {
	if st, ok = f.st.(queue.SuspensionStore); !ok {
		f.t.Log("not tested: the store is not a queue.SuspensionStore")
	}
	return st, ok
}

// suspensions checks the rules of queue.SuspensionStore.
func suspensions(t *testing.T, f *fixture) {
	st, ok := f.suspensionStore()
	if !ok {
		return
	}
	sameSuspensions(t, keepsSuspensions, st)
	putSuspension(t, st, hopSuspension)
	putSuspension(t, st, domainSuspension)
	sameSuspensions(t, keepsSuspensions, st, hopSuspension, domainSuspension)

	other := hopSuspension
	other.Hop.Connector = "another"
	putSuspension(t, st, other)
	sameSuspensions(t, "suspensions of different hops are different", st, hopSuspension, domainSuspension, other)

	again := domainSuspension
	again.Since, again.Until, again.Reason = at(time.Minute), at(2*time.Hour), "longer"
	putSuspension(t, st, again)
	sameSuspensions(t, "PutSuspension replaces a suspension with the same Hop and Domain", st, hopSuspension, again, other)
	removeSuspension(t, st, domainSuspension)
	sameSuspensions(t, "RemoveSuspension does not remove a suspension that began at another time", st, hopSuspension, again, other)
	removeSuspension(t, st, queue.Suspension{Domain: again.Domain, Since: again.Since})
	removeSuspension(t, st, again)
	removeSuspension(t, st, other)
	sameSuspensions(t, "RemoveSuspension removes the suspension with the same Hop, Domain and Since", st, hopSuspension)
	removeSuspension(t, st, hopSuspension)
	sameSuspensions(t, keepsSuspensions, st)
}

// reopenSuspensions opens the store again.
func reopenSuspensions(t *testing.T, f *fixture) {
	st, ok := f.suspensionStore()
	if !ok {
		return
	}
	const rule = "when PutSuspension or RemoveSuspension has returned nil, the change is on stable storage: after Close and Open"
	putSuspension(t, st, hopSuspension)
	putSuspension(t, st, domainSuspension)
	for range 2 {
		f.reopen()
		st = f.st.(queue.SuspensionStore)
		sameSuspensions(t, rule, st, hopSuspension, domainSuspension)
	}
	removeSuspension(t, st, hopSuspension)
	f.reopen()
	st = f.st.(queue.SuspensionStore)
	sameSuspensions(t, rule, st, domainSuspension)
	removeSuspension(t, st, domainSuspension)
	f.reopen()
	st = f.st.(queue.SuspensionStore)
	sameSuspensions(t, rule, st)
	if err := f.st.Close(); err != nil {
		t.Fatal(err)
	}
	if err := st.PutSuspension(ctx, hopSuspension); !errors.Is(err, queue.ErrClosed) {
		t.Fatalf("calls after Close return ErrClosed: PutSuspension returned %v", err)
	}
}

func putSuspension(t *testing.T, st queue.SuspensionStore, s queue.Suspension) {
	t.Helper()
	if err := st.PutSuspension(ctx, s); err != nil {
		t.Fatalf("PutSuspension stores a suspension: %s: %v", &s, err)
	}
}

func removeSuspension(t *testing.T, st queue.SuspensionStore, s queue.Suspension) {
	t.Helper()
	if err := st.RemoveSuspension(ctx, s); err != nil {
		t.Fatalf("RemoveSuspension returns nil also if there is no such suspension: %s: %v", &s, err)
	}
}

// sameSuspensions compares the suspensions of the store with those expected, in any
// order. rule is the rule that the store violates if they differ.
func sameSuspensions(t *testing.T, rule string, st queue.SuspensionStore, want ...queue.Suspension) {
	t.Helper()
	got, err := st.Suspensions(ctx)
	if err != nil {
		t.Fatalf("%s: %v", rule, err)
	}
	if g, w := suspensionTexts(got), suspensionTexts(want); !slices.Equal(g, w) {
		t.Fatalf("%s:\n%s\nwant\n%s", rule, strings.Join(g, "\n"), strings.Join(w, "\n"))
	}
}

func suspensionTexts(list []queue.Suspension) (texts []string) {
	for _, s := range list {
		s.Since, s.Until, s.Volatile = s.Since.UTC(), s.Until.UTC(), false
		texts = append(texts, fmt.Sprintf("%+q", fmt.Sprintf("%#v %v %v", [5]string{s.Hop.Connector, s.Hop.Destination, s.Domain, s.Reason, s.By}, s.Since, s.Until)))
	}
	slices.Sort(texts)
	return texts
}
