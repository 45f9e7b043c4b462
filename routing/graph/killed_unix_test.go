//go:build unix

package graph

import (
	"context"
	"crypto/x509"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/spool"
	"github.com/bridgehead-mail/bridgehead/routing"
)

// childEnv has the folder, the address of the fake Graph and the SearchTime for a child
// process.
const childEnv = "BRIDGEHEAD_TEST_GRAPH"

// A process that dies of SIGKILL after Graph has sent the message, and before the
// queue has recorded that, sends no second copy when it starts again. If Graph had not
// sent it, the message is sent.
func TestKilled(t *testing.T) {
	for name, c := range map[string]struct {
		sent       bool
		searchTime string
	}{"sent": {true, "16s"}, "not sent": {false, "400ms"}} {
		t.Run(name, func(t *testing.T) {
			g := newGraph(t, step{send: c.sent})
			g.lag = 1 // Sent Items lags
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "ca"), g.Certificate().Raw, 0o600); err != nil {
				t.Fatal(err)
			}
			store, err := spool.Open(filepath.Join(dir, "spool"), nil)
			if err != nil {
				t.Fatal(err)
			}
			m := job(letter, "bob@example.net").Message
			m.Received = time.Now()
			if err := store.Put(t.Context(), m, queue.Schedule{}); err != nil {
				t.Fatal(err)
			}
			if err := store.Close(); err != nil {
				t.Fatal(err)
			}
			run := func(ready func(*os.Process)) (string, error) {
				child := exec.Command(os.Args[0])
				child.Env = append(os.Environ(), childEnv+"="+dir+" "+g.Listener.Addr().String()+" "+c.searchTime)
				var out strings.Builder
				child.Stdout, child.Stderr = &out, &out
				if err := child.Start(); err != nil {
					t.Fatal(err)
				}
				ready(child.Process)
				err := child.Wait()
				return out.String(), err
			}
			if out, err := run(func(p *os.Process) {
				g.mu.Lock()
				g.begun = func() { p.Kill(); time.Sleep(50 * time.Millisecond) }
				g.mu.Unlock()
			}); err == nil {
				t.Fatalf("the process was not killed:\n%s", out)
			}
			g.mu.Lock()
			g.begun = nil
			g.mu.Unlock()
			if out, err := run(func(*os.Process) {}); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if got := g.received(); got != "bob@example.net" {
				t.Errorf("received by %q", got)
			}
			if _, searches := g.counts(); searches == 0 || c.sent && searches != 2 {
				t.Errorf("%d searches", searches)
			}
		})
	}
}

// child delivers the message of a spool.
func child() {
	if err := deliverSpool(strings.Fields(os.Getenv(childEnv))); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func deliverSpool(args []string) error {
	dir, graph := args[0], args[1]
	searchTime, err := time.ParseDuration(args[2])
	if err != nil {
		return err
	}
	der, err := os.ReadFile(filepath.Join(dir, "ca"))
	if err != nil {
		return err
	}
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	tr := &Transport{
		Token: func(context.Context) (string, error) { return "secret-token", nil }, Mailbox: "scanner@contoso.com",
		Endpoint: "https://example.com", RootCAs: pool, DialContext: dialTo(graph), SearchTime: searchTime,
	}
	store, err := spool.Open(filepath.Join(dir, "spool"), nil)
	if err != nil {
		return err
	}
	defer store.Close()
	table, err := routing.NewTable(routing.Connector{Name: "graph", Spaces: []string{"*"}, Transport: tr})
	if err != nil {
		return err
	}
	router := &routing.Router{Table: table}
	defer router.Close()
	ctx, stop := context.WithTimeout(context.Background(), 30*time.Second)
	defer stop()
	delivered := false
	q := &queue.Queue{Store: store, Deliverer: router, Hostname: "relay.contoso.com", Retry: queue.Retry{Intervals: []time.Duration{time.Second}}}
	q.FinalResults = func(_ context.Context, m *queue.Message, _ []*queue.Recipient) error {
		delivered = m.Recipients[0].Status == queue.Delivered
		stop()
		return nil
	}
	if err := q.Run(ctx); err != nil {
		return err
	}
	if !delivered {
		return fmt.Errorf("not delivered")
	}
	return nil
}
