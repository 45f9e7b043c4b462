package queue

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A SkippedError is the error of [Queue.Do] if the operation was performed on all
// messages except those that other nodes of a [Cluster] have leased. Perform the
// operation on these nodes, or repeat it when they have delivered or released the
// messages.
type SkippedError struct {
	// Nodes has the number of the messages that were skipped, by the name of the
	// node that has leased them.
	Nodes map[string]int
}

// Messages returns the number of messages that were skipped.
func (e *SkippedError) Messages() (n int) {
	for _, k := range e.Nodes {
		n += k
	}
	return n
}

// Error returns for example "queue: 3 messages were skipped, because other nodes
// deliver them: 2 on relay2, 1 on relay3".
func (e *SkippedError) Error() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(e.Nodes)) {
		parts = append(parts, fmt.Sprintf("%d on %s", e.Nodes[name], name))
	}
	what := "messages were skipped, because other nodes deliver them"
	if e.Messages() == 1 {
		what = "message was skipped, because another node delivers it"
	}
	return fmt.Sprintf("queue: %d %s: %s", e.Messages(), what, strings.Join(parts, ", "))
}

// add counts a message that a node has leased.
func (e *SkippedError) add(node string) {
	if e.Nodes == nil {
		e.Nodes = map[string]int{}
	}
	e.Nodes[node]++
}

// err returns e, or nil if no message was skipped.
func (e *SkippedError) err() error {
	if len(e.Nodes) == 0 {
		return nil
	}
	return e
}

// holdersMost is how many messages the Cluster is asked about at a time.
const holdersMost = 500

// heldElsewhere returns which of the messages other nodes have leased, by ID.
func (q *Queue) heldElsewhere(ctx context.Context, ids []string) (map[string]string, error) {
	if q.node.cluster == nil {
		return nil, nil
	}
	held, this := map[string]string{}, q.node.cluster.Name()
	for some := range slices.Chunk(ids, holdersMost) {
		names, err := q.node.cluster.Holders(ctx, some...)
		if err != nil {
			return nil, err
		}
		for i, name := range names[:min(len(names), len(some))] {
			if name != "" && name != this {
				held[some[i]] = name
			}
		}
	}
	return held, nil
}
