package transaction

import (
	"weak"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/policy/internal/mimetree"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A tree has the parts of one state of a message.
type tree struct {
	of    *content.Content
	parts []mimetree.Part
}

// A treeCache has the tree that was parsed last. The pointer is weak, because a
// tree needs up to as much memory as its message: agents that run one after the
// other share a tree, and the garbage collector may remove it at any time.
type treeCache struct{ last weak.Pointer[tree] }

// Parts returns the parts of the message m in its current state, with the default
// limits of package mimetree. It parses the same content only once. The parts must
// not be changed.
func Parts(s *smtpserver.Session, m *smtpserver.Message) ([]mimetree.Part, error) {
	now, known := m.Content().(*content.Content)
	cache := Get[treeCache](s, m)
	if known && cache != nil {
		if t := cache.last.Value(); t != nil && t.of.Same(now) {
			return t.parts, nil
		}
	}
	parts, err := mimetree.Parse(m.Content(), mimetree.Limits{})
	if err == nil && known {
		Set(s, m, &treeCache{weak.Make(&tree{now, parts})})
	}
	return parts, err
}
