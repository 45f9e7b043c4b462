package console

import (
	"context"
	"errors"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// doEach does something to each item, and returns the number of messages (or other
// things) that it was done to. Messages that other nodes have leased are skipped: the
// error is then one *queue.SkippedError for all items. It stops at any other error.
func doEach[T any](ctx context.Context, items []T, do func(context.Context, T) (int, error)) (n int, err error) {
	all := &queue.SkippedError{Nodes: map[string]int{}}
	for _, item := range items {
		done, err := do(ctx, item)
		n += done
		var skipped *queue.SkippedError
		if errors.As(err, &skipped) {
			for node, k := range skipped.Nodes {
				all.Nodes[node] += k
			}
		} else if err != nil {
			return n, err
		}
	}
	if len(all.Nodes) == 0 {
		return n, nil
	}
	return n, all
}

// partly returns the skipped messages of an action that was done to n messages and
// skipped others. Otherwise it returns err.
func partly(n int, err error) (map[string]int, error) {
	var skipped *queue.SkippedError
	if n > 0 && errors.As(err, &skipped) {
		return skipped.Nodes, nil
	}
	return nil, err
}

// SkippedText says which messages were skipped, or is empty.
func (e *auditEntry) SkippedText() string {
	if len(e.Skipped) == 0 {
		return ""
	}
	return skippedText(&queue.SkippedError{Nodes: e.Skipped})
}
