package index

import (
	"slices"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// domainCounts count addresses by the hashes of their domains and by age. They need
// about 40 bytes of memory for each domain, and four for each age. A map of Go would
// need three times as long.
type domainCounts struct {
	ages    int           // the number of ages
	domains []domainCount // in the order of their first addresses
	byAge   []uint32      // ages numbers for each domain
	table   []domainPlace // a hash table with open addressing
}

// A domainPlace has the hash of a domain, so that a search reads the domain itself only
// when it has found it: each is a miss of the processor's cache.
type domainPlace struct {
	hash   uint32
	number uint32 // index in domains plus 1; 0 if the place is free
}

type domainCount struct {
	hash, total uint32
	first, last Slot // examples
}

// add counts an address of the message in a slot.
func (c *domainCounts) add(hash uint32, age int, s Slot) {
	if 2*len(c.domains) >= len(c.table) {
		c.grow()
	}
	at := c.find(hash)
	d := int(c.table[at].number) - 1
	if d < 0 {
		d = len(c.domains)
		c.domains = append(c.domains, domainCount{hash: hash, first: s})
		c.byAge = append(c.byAge, make([]uint32, c.ages)...)
		c.table[at] = domainPlace{hash, uint32(d + 1)}
	}
	c.domains[d].total++
	c.domains[d].last = s
	c.byAge[d*c.ages+age]++
}

// find returns the place of a hash in the table. The hashes have a secret seed, so a
// stranger cannot choose domains whose places are equal.
func (c *domainCounts) find(hash uint32) int {
	mask := len(c.table) - 1
	for at := int(hash) & mask; ; at = (at + 1) & mask {
		if p := c.table[at]; p.number == 0 || p.hash == hash {
			return at
		}
	}
}

// grow doubles the table.
func (c *domainCounts) grow() {
	old := c.table
	c.table = make([]domainPlace, max(64, 2*len(old)))
	for _, p := range old {
		if p.number != 0 {
			c.table[c.find(p.hash)] = p
		}
	}
}

// most returns the n domains with the highest counts, and the others.
func (c *domainCounts) most(n int) (most, others []int) {
	totals := make([]uint32, len(c.domains))
	all := make([]int, len(c.domains))
	for d := range c.domains {
		totals[d], all[d] = c.domains[d].total, d
	}
	if len(all) <= n {
		return all, nil
	}
	slices.Sort(totals)
	least := totals[len(totals)-n] // of those with the highest counts
	for d := range c.domains {
		if c.domains[d].total > least {
			most = append(most, d)
		}
	}
	for d := range c.domains {
		switch total := c.domains[d].total; {
		case total == least && len(most) < n:
			most = append(most, d)
		case total <= least:
			others = append(others, d)
		}
	}
	return most, others
}

// sum returns the sum of the counts of domains.
func (c *domainCounts) sum(domains []int) queue.ShapeRow {
	row := queue.ShapeRow{Ages: make([]int, c.ages)}
	for _, d := range domains {
		row.Total += int(c.domains[d].total)
		for age, n := range c.byAge[d*c.ages:][:c.ages] {
			row.Ages[age] += int(n)
		}
	}
	return row
}
