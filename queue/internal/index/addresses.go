package index

import (
	"hash/maphash"
	"slices"
	"strings"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// The index has 32-bit hashes of the addresses of a message. A search reads the
// messages that it finds, so a hash that two addresses share is no fault. A stranger
// chooses the addresses, so the hash has a secret seed: he cannot make many messages
// with the same hash.
var seed = maphash.MakeSeed()

// An Address has the hashes of an address and of its domain.
type Address struct{ address, domain uint32 }

// HashAddress returns the hashes of an address. The null reverse-path has hashes too.
func HashAddress(address string) Address {
	address = strings.ToLower(address) // does not allocate if it is in lower case
	return Address{hash(address), hash(queue.AddressDomain(address))}
}

func hash(s string) uint32 { return uint32(maphash.String(seed, s)) }

// A Recipient has the facts about a recipient that the index needs.
type Recipient struct {
	Address
	ended, attempted bool
}

// HashRecipient returns the facts about a recipient.
func HashRecipient(r *queue.Recipient) Recipient {
	return Recipient{HashAddress(r.Addr), r.Status != queue.Waiting, r.Attempts > 0}
}

// AppendRecipients appends the facts about recipients to rs.
func AppendRecipients(rs []Recipient, recipients []*queue.Recipient) []Recipient {
	for _, r := range recipients {
		rs = append(rs, HashRecipient(r))
	}
	return rs
}

// many are the recipients of a message that does not have exactly one.
type many struct {
	list               []Recipient
	waiting, attempted int // how many of them
}

func (m *many) count(rs []Recipient, n int) {
	for i := range rs {
		if !rs[i].ended {
			m.waiting += n
		}
		if rs[i].attempted {
			m.attempted += n
		}
	}
}

// recipients returns the recipients of a message.
func (x *Index[T]) recipients(s Slot) []Recipient {
	e := x.At(s)
	if e.many {
		return x.many[s].list
	}
	return e.one[:]
}

// noneWaits reports whether no recipient waits. Then a search finds the message by
// all of them, and otherwise by those that wait.
func (x *Index[T]) noneWaits(s Slot) bool {
	e := x.At(s)
	if e.many {
		return x.many[s].waiting == 0
	}
	return e.one[0].ended
}

// SetRecipients replaces the recipients of a message. The caller must then call Show
// or Reschedule.
func (x *Index[T]) SetRecipients(s Slot, rs []Recipient) {
	e := x.At(s)
	old, oldAll := x.recipients(s), x.noneWaits(s)
	if len(rs) == 1 {
		was := e.one
		if !e.many {
			old = was[:]
		}
		delete(x.many, s)
		e.many, e.one[0], e.attempted = false, rs[0], rs[0].attempted
	} else {
		if e.many && slices.Equal(old, rs) {
			return
		}
		m := &many{list: slices.Clone(rs)}
		m.count(rs, 1)
		if x.many == nil {
			x.many = make(map[Slot]*many)
		}
		x.many[s] = m
		e.many, e.attempted = true, m.attempted > 0
	}
	if !e.hidden {
		x.repost(s, old, rs, oldAll, x.noneWaits(s))
	}
}

// ChangeRecipients replaces the recipients of a message whose indexes are in changed
// by rs. The caller must then call Reschedule. The cost does not depend on the number
// of the other recipients if one of them waits.
func (x *Index[T]) ChangeRecipients(s Slot, changed []int, rs []Recipient) {
	e := x.At(s)
	if !e.many {
		if len(rs) == 1 && changed[0] == 0 {
			x.SetRecipients(s, rs)
		}
		return
	}
	m := x.many[s]
	if oldAll := m.waiting == 0; oldAll || len(changed) >= m.waiting { // who is sought may change
		all := slices.Clone(m.list)
		for k, i := range changed {
			if i < len(all) {
				all[i] = rs[k]
			}
		}
		x.SetRecipients(s, all)
		return
	}
	for k, i := range changed {
		if i < len(m.list) {
			old := m.list[i]
			m.count([]Recipient{old}, -1)
			m.count(rs[k:k+1], 1)
			m.list[i] = rs[k]
			if !e.hidden {
				x.repost(s, []Recipient{old}, rs[k:k+1], false, false)
			}
		}
	}
	e.attempted = m.attempted > 0
}

// repost changes the postings of recipients. all reports whether those that have
// ended have postings too.
func (x *Index[T]) repost(s Slot, old, rs []Recipient, oldAll, all bool) {
	if x.loading {
		return
	}
	for i := range max(len(old), len(rs)) {
		was := i < len(old) && (oldAll || !old[i].ended)
		is := i < len(rs) && (all || !rs[i].ended)
		if was && is && old[i].address == rs[i].address {
			continue
		}
		if was {
			x.unpost(&x.byRecipient, old[i].address, s)
		}
		if is {
			x.post(&x.byRecipient, rs[i].address, s)
		}
	}
}
