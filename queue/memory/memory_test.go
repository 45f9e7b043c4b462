package memory_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
	"github.com/bridgehead-mail/bridgehead/queue/queuetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStore(t *testing.T) {
	queuetest.Test(t, queuetest.Config{
		Open: func(t *testing.T, dir string) queue.Store { return new(memory.Store) },
	})
}

func TestFull(t *testing.T) {
	st := &memory.Store{Max: 1}
	for i, want := range []error{nil, queue.ErrFull} {
		m := &queue.Message{ID: fmt.Sprint("m", i), Recipients: queue.Rcpt("to@example.org")}
		if err := st.Put(context.Background(), m, queue.Schedule{}); !errors.Is(err, want) {
			t.Errorf("Put %d: %v, want %v", i, err, want)
		}
	}
}

func Example() {
	st := new(memory.Store)
	ctx := context.Background()
	m := &queue.Message{ID: "1", Recipients: queue.Rcpt("to@example.org"), Content: queue.String("Subject: hello\r\n\r\n")}
	if err := st.Put(ctx, m, queue.Schedule{}); err != nil {
		fmt.Println(err)
	}
	got, err := st.Get(ctx, "1")
	fmt.Println(got.Recipients[0].Addr, err)
	// Output: to@example.org <nil>
}
