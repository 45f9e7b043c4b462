package smtpserver

import (
	"net/netip"
	"time"
)

// loginTable counts the failed logins of addresses. The number of addresses is
// limited. Each operation takes constant time, apart from a search through the
// possible counts, of which there are LoginLimit.Failures.
type loginTable struct {
	entries map[netip.Addr]*loginEntry
	// lists[n] contains the addresses with n failed logins, in the order in
	// which they reached this number. lists[0] is not used.
	lists []loginList
}

// loginEntry is an element of one list.
type loginEntry struct {
	ip         netip.Addr
	began      time.Time // the first failed login of the current period
	n          int       // failed logins since then
	prev, next *loginEntry
}

// loginList is a doubly linked list.
type loginList struct{ first, last *loginEntry }

func (l *loginList) push(e *loginEntry) {
	e.prev, e.next = l.last, nil
	if l.last == nil {
		l.first = e
	} else {
		l.last.next = e
	}
	l.last = e
}

func (l *loginList) remove(e *loginEntry) {
	if e.prev == nil {
		l.first = e.next
	} else {
		e.prev.next = e.next
	}
	if e.next == nil {
		l.last = e.prev
	} else {
		e.next.prev = e.prev
	}
}

// count returns the failed logins of an address in the current period.
func (t *loginTable) count(ip netip.Addr, now time.Time, period time.Duration) int {
	e := t.entries[ip]
	if e == nil {
		return 0
	}
	if now.Sub(e.began) >= period {
		t.forget(e)
		return 0
	}
	return e.n
}

// add counts a failed login of an address and returns the new count. The table
// keeps most addresses.
func (t *loginTable) add(ip netip.Addr, now time.Time, period time.Duration, most int) int {
	t.count(ip, now, period) // forgets the address if its period is over
	t.sweep(now, period)
	e := t.entries[ip]
	if e == nil {
		if len(t.entries) >= most {
			t.makeRoom()
		}
		if t.entries == nil {
			t.entries = make(map[netip.Addr]*loginEntry)
			t.lists = make([]loginList, 1)
		}
		e = &loginEntry{ip: ip, began: now}
		t.entries[ip] = e
	} else {
		t.lists[e.n].remove(e)
	}
	e.n++
	if e.n == len(t.lists) {
		t.lists = append(t.lists, loginList{})
	}
	t.lists[e.n].push(e)
	return e.n
}

// sweep forgets up to two addresses of each list whose period is over. An
// operation adds only one, so the table becomes smaller while it is used.
func (t *loginTable) sweep(now time.Time, period time.Duration) {
	for i := range t.lists {
		for range 2 {
			if e := t.lists[i].first; e != nil && now.Sub(e.began) >= period {
				t.forget(e)
			}
		}
	}
}

// makeRoom forgets the oldest of the addresses with the fewest failed logins.
func (t *loginTable) makeRoom() {
	for i := range t.lists {
		if e := t.lists[i].first; e != nil {
			t.forget(e)
			return
		}
	}
}

func (t *loginTable) forget(e *loginEntry) {
	t.lists[e.n].remove(e)
	delete(t.entries, e.ip)
}
