package smtpclient

import "github.com/bridgehead-mail/bridgehead/internal/addr"

// merge takes recipients off d.todo that one RCPT command serves: those whose
// address is the same, the domain in whatever form, and whose parameters are
// the same as far as the host has the extensions for them. It returns, for each
// of them, the recipient that is sent in its place.
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

// answer gives each merged recipient the result of the one that was sent.
func (d *delivery) answer(same map[int]int) {
	for i, of := range same {
		if f := d.fates[of]; f != open && f != accepted {
			d.results[i], d.fates[i] = d.results[of], f
		}
	}
}
