package pickup_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/pickup"
)

// A program without SMTP leaves a message in a folder. In a relay, Submit is the
// method of a queue.
func Example() {
	dir, err := os.MkdirTemp("", "pickup")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	ctx, done := context.WithCancel(context.Background())
	folder := &pickup.Folder{
		Dir:      dir,
		Interval: 10 * time.Millisecond,
		Submit: func(ctx context.Context, m *queue.Message) error {
			fmt.Println("from", m.From)
			for _, r := range m.Recipients {
				fmt.Println("to", r.Addr)
			}
			done()
			return nil
		},
	}
	// Write the file under another name, so that it is complete when it is found.
	text := "From: Backup <backup@example.com>\nTo: ops@example.com\nBcc: boss@example.com\nSubject: done\n\nAll is well.\n"
	name := filepath.Join(dir, "report")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	if err := os.Rename(name, name+".eml"); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(folder.Run(ctx))
	// Output:
	// from backup@example.com
	// to ops@example.com
	// to boss@example.com
	// <nil>
}
