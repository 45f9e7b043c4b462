package postgres

import (
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// A backup is restored while two nodes run: a since before the backup, b since after it. A
// message that was delivered after the backup is delivered again, and one that was
// received after it is missing. Both nodes notice it, and no message waits for ever.
func TestRestoreUnderNodes(t *testing.T) {
	t.Parallel()
	dump, restore := peers.Need(t, "pg_dump"), peers.Need(t, "pg_restore")
	url := pgtest.Database(t)
	run := func(program string, args ...string) {
		t.Helper()
		if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", program, err, out)
		}
	}
	o := Options{Node: "a", Beat: 100 * time.Millisecond, DeadAfter: time.Second}
	a := open(t, url, &o)
	hop := queue.NextHop{Connector: "internet", Destination: "old.example"}
	for id, schedule := range map[string]queue.Schedule{
		"delivered": leasedTo("q"), "in-delivery": leasedTo("q"), "waits": {Hop: hop},
	} {
		if err := a.Put(t.Context(), newMessage(id), schedule); err != nil {
			t.Fatal(err)
		}
	}
	// The last beat in the backup is not the last one of a.
	file := filepath.Join(t.TempDir(), "backup")
	run(dump, "--format=custom", "--file="+file, url)
	oldA, _ := a.node.incarnation()
	inBackup := one[int64](t, a, `select beat from bridgehead.node where id = $1`, oldA)
	if err := a.Remove(t.Context(), "q", "delivered"); err != nil {
		t.Fatal(err)
	}
	o.Node = "b"
	b := open(t, url, &o)
	oldB, _ := b.node.incarnation()
	later := queue.NextHop{Connector: "internet", Destination: "later.example"}
	if err := b.Put(t.Context(), newMessage("later"), queue.Schedule{Hop: later}); err != nil {
		t.Fatal(err)
	}
	if err := a.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "more beats", func() bool {
		return one[int64](t, a, `select beat from bridgehead.node where id = $1`, oldA) > inBackup+2
	})
	if err := a.db.tx(t.Context(), func(b *pgx.Batch) { b.Queue(`drop schema bridgehead cascade`) }); err != nil {
		t.Fatal(err)
	}
	run(restore, "--single-transaction", "--no-owner", "--dbname="+url, file)

	for _, n := range []struct {
		s   *Store
		old int64
	}{{a, oldA}, {b, oldB}} {
		eventually(t, "a new incarnation", func() bool {
			id, err := n.s.node.incarnation()
			return err == nil && id != n.old
		})
	}
	if err := a.MayFinish("q", "in-delivery"); !isLost(err) {
		t.Errorf("MayFinish of a lease from before the restore: %v", err)
	}
	want := []string{"delivered", "in-delivery", "waits"}
	if got := stored(t, b); !slices.Equal(got, want) {
		t.Errorf("stored are %v, want %v", got, want)
	}
	// A number of a next hop from after the backup is not used.
	if err := b.Put(t.Context(), newMessage("new"), queue.Schedule{Hop: later}); err != nil {
		t.Fatal(err)
	}
	sums, err := b.Hops(t.Context())
	if err != nil || !slices.ContainsFunc(sums, func(s queue.HopSum) bool { return s.Hop == later }) {
		t.Errorf("the next hops are %v, %v", sums, err)
	}
	var got []string
	eventually(t, "all messages can be claimed", func() bool {
		got = append(got, claimed(t, b, nowClaim("p", 10))...)
		return len(got) >= 4
	})
	slices.Sort(got)
	if want = []string{"delivered", "in-delivery", "new", "waits"}; !slices.Equal(got, want) {
		t.Errorf("claimed %v, want %v", got, want)
	}
}
