package postgres

import (
	"slices"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// After a restore, the nodes deliver what was in the queue at the time of the backup: mail
// that was delivered since then is sent twice, and mail that came since then is missing. A
// node whose name is drained in the restored database delivers nothing at first. See
// "Backups" in README.md.
func TestRestoredBackup(t *testing.T) {
	t.Parallel()
	server := pgtest.Shared(t)
	url := server.Database(t)
	before := open(t, url, quick("a"))
	put := func(id string, sched queue.Schedule) {
		t.Helper()
		if err := before.Put(t.Context(), newMessage(id), sched); err != nil {
			t.Fatal(err)
		}
	}
	put("delivered", leasedTo("q"))
	put("in-delivery", leasedTo("q"))
	put("waiting", queue.Schedule{})
	backup := server.Dump(t, url)
	put("later", leasedTo("q"))
	if err := before.Remove(t.Context(), "q", "delivered"); err != nil {
		t.Fatal(err)
	}
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}

	restored := server.Restore(t, backup)
	server.Query(t, server.Admin(restored), `insert into bridgehead.drain (name, by, reason)
		select distinct name, 'admin', 'restore' from bridgehead.node on conflict do nothing`)
	after := open(t, restored, quick("a"))
	if n := <-after.Notices(); n.Kind != queue.NoticeDrain {
		t.Errorf("the first notice is %d, want NoticeDrain", n.Kind)
	}
	if err := after.Drain(t.Context(), queue.Draining{Node: "a", Off: true}); err != nil {
		t.Fatal(err)
	}
	awaitNotice(t, after, queue.NoticeUndrain)

	var got []string
	eventually(t, "the claim of the messages of the backup", func() bool {
		ms, err := after.Claim(t.Context(), nowClaim("q", 10))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range ms {
			got = append(got, m.ID)
			if text := contentOf(t, after, m.ID); text != "Subject: "+m.ID+"\r\n\r\nHello.\r\n" {
				t.Errorf("the content of %s is %q", m.ID, text)
			}
		}
		return len(got) >= 3
	})
	slices.Sort(got)
	if want := []string{"delivered", "in-delivery", "waiting"}; !slices.Equal(got, want) {
		t.Errorf("claimed %q, want %q", got, want)
	}
	if err := after.Put(t.Context(), newMessage("new"), queue.Schedule{}); err != nil {
		t.Errorf("Put after a restore: %v", err)
	}
}
