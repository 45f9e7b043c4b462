package smtpclient

import "github.com/bridgehead-mail/bridgehead/internal/addr"

// merge removes duplicate recipients from d.todo, so that one RCPT command
// serves them all. Duplicates have the same address (A-label and U-label forms
// of a domain are equal) and the same parameters, except those that the host
// has no extension for. The map gives, for each recipient that was removed, the
// one that is sent in its place.
func (d *delivery) merge(c *Client, t terms) map[int]int {
	if len(d.todo) < 2 {
		return nil
	}
	var same map[int]int
	first := make(map[string]int, len(d.todo))
	todo := d.todo[:0]
	var line []byte
	for _, i := range d.todo {
		r := d.m.Recipients[i]
		if local, domain := addr.Split(r.Addr); domain != "" {
			if canonical, err := addr.Domain(domain); err == nil {
				r.Addr = local + "@" + canonical
			}
		}
		line = c.appendRcpt(line[:0], &r, t)
		of, ok := first[string(line)]
		if !ok {
			first[string(line)] = i
			todo = append(todo, i)
			continue
		}
		if same == nil {
			same = make(map[int]int)
		}
		same[i] = of
	}
	d.todo = todo
	return same
}

// answer gives each duplicate the result of the recipient that was sent.
func (d *delivery) answer(same map[int]int) {
	for i, of := range same {
		if f := d.states[of]; f != open && f != accepted {
			d.results[i], d.states[i] = d.results[of], f
		}
	}
}
