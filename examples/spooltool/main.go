// Command spooltool reads a spool (queue/spool). It changes nothing and may run while
// a relay uses the spool:
//
//	spooltool list DIR             list all messages: ID, time, size, due, next hop
//	spooltool show DIR ID...       print the envelope and the recipients of messages
//	spooltool verify DIR           read everything; exit status 1 if there is damage
//	spooltool extract DIR [ID...]  write messages to ID.eml in the current directory
//	spooltool export DIR [ID...]   write messages with their envelopes to ID.replay
//
// extract and export without IDs write all messages. They do not overwrite files.
//
// Spooltool cannot suspend, resume, remove or resubmit messages. Only the relay
// that has the spool open can do this: its program calls queue.Queue.Do.
//
// Use export for a spool that no relay will open again. Give the files, renamed
// to NAME.eml, to the replay folder of another relay (queue/pickup). If the first
// relay still has the messages, they are delivered twice.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/spool"
)

func main() {
	if err := run(context.Background(), os.Stdout, ".", os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "spooltool:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("usage: spooltool list|show|verify|extract|export DIR [ID...]")

// run executes a command. Extracted files go to the folder to.
func run(ctx context.Context, w io.Writer, to string, args []string) error {
	if len(args) < 2 {
		return errUsage
	}
	v, err := spool.Inspect(args[1])
	if err != nil {
		return err
	}
	defer v.Close()
	ids := args[2:]
	switch args[0] {
	case "list":
		return list(ctx, w, v)
	case "verify":
		return verify(ctx, w, v)
	case "show":
		return show(ctx, w, v, ids)
	case "extract":
		return extract(ctx, w, v, to, ids, ".eml", func(w io.Writer, m *queue.Message) error {
			_, err := m.Content.WriteTo(w)
			return err
		})
	case "export":
		return extract(ctx, w, v, to, ids, ".replay", queue.Export)
	}
	return errUsage
}

func list(ctx context.Context, w io.Writer, v *spool.View) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "ID\tRECEIVED\tBYTES\tDUE\tNEXT HOP")
	for e, err := range v.List(ctx, queue.Query{}) {
		if err != nil {
			return err
		}
		due := "now"
		if !e.Schedule.Due.IsZero() {
			due = e.Schedule.Due.UTC().Format(time.RFC3339)
		}
		fmt.Fprintf(tw, "%s\t%s\t%d\t%s\t%s\n", e.ID, e.Received.UTC().Format(time.RFC3339), e.Size, due, e.Schedule.Hop)
	}
	return tw.Flush()
}

func show(ctx context.Context, w io.Writer, v *spool.View, ids []string) error {
	for _, id := range ids {
		m, err := v.Get(ctx, id)
		if err != nil {
			return fmt.Errorf("%s: %w", id, err)
		}
		fmt.Fprintf(w, "%s: %d bytes from <%s>, received %s", m.ID, m.Content.Size(), m.From, m.Received.UTC().Format(time.RFC3339))
		if m.Origin.ClientAddr != "" {
			fmt.Fprintf(w, " by %s from %s [%s]", m.Origin.Connector, m.Origin.ClientHelo, m.Origin.ClientAddr)
		}
		fmt.Fprintln(w)
		for _, r := range m.Recipients {
			fmt.Fprintf(w, "  <%s> %s, %d attempts", r.Addr, status(r.Status), r.Attempts)
			if r.Last.Reply.Code != 0 {
				fmt.Fprintf(w, ", last: %d %s", r.Last.Reply.Code, r.Last.Reply.Message)
			}
			fmt.Fprintln(w)
		}
	}
	return nil
}

func status(s queue.Status) string {
	names := []string{"waiting", "delivered", "failed", "expired", "removed", "expanded"}
	if int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("status %d", s)
}

func verify(ctx context.Context, w io.Writer, v *spool.View) error {
	bad, err := v.Verify(ctx)
	r := v.Recovery()
	fmt.Fprintf(w, "%d messages for %d recipients, %d bytes of content, %d segments\n", r.Messages, r.Recipients, r.Bytes, r.Segments)
	if r.Cut > 0 {
		fmt.Fprintf(w, "%d bytes at the end were never acknowledged\n", r.Cut)
	}
	for _, d := range bad {
		if d.Segment != "" {
			fmt.Fprintf(w, "damage in %s at %d, %d bytes: %v\n", d.Segment, d.Offset, d.Size, d.Err)
		} else {
			fmt.Fprintf(w, "message %s: %v\n", d.ID, d.Err)
		}
	}
	if err == nil && len(bad) > 0 {
		err = fmt.Errorf("%d damaged", len(bad))
	}
	return err
}

// extract writes each message to a file ID+suffix in the folder to. Without ids
// it writes all messages.
func extract(ctx context.Context, w io.Writer, v *spool.View, to string, ids []string, suffix string, write func(io.Writer, *queue.Message) error) error {
	if len(ids) == 0 {
		for e, err := range v.List(ctx, queue.Query{}) {
			if err != nil {
				return err
			}
			ids = append(ids, e.ID)
		}
	}
	dir, err := os.OpenRoot(to)
	if err != nil {
		return err
	}
	defer dir.Close()
	for _, id := range ids {
		m, err := v.Get(ctx, id)
		if err != nil {
			return fmt.Errorf("%s: %w", id, err)
		}
		f, err := dir.OpenFile(id+suffix, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		if err = errors.Join(write(f, m), f.Close()); err != nil {
			return fmt.Errorf("%s: %w", id, err)
		}
		fmt.Fprintln(w, f.Name())
	}
	return nil
}
