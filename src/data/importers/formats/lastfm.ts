/**
 * Two sets of Last.fm:
 *   hetrec-lastfm  HetRec 2011: user_artists.dat (user, artist, listening count; NO times), artists.dat (UTF-8). The counts
 *                  are no ratings, and the times of user_taggedartists are of tags, not of listening: neither is taken.
 *   lastfm-1k      listening events: user, ISO time, artist id, artist, track id, track; no header; some bytes are no UTF-8.
 *                  The items are artists; one without an id is known by the name.
 */

import { type Format, filesOf, type Head, type Role } from '../format.js'
import { headerCells, splitLines } from '../head.js'
import { timeOf } from '../times.js'

export const hetrecLastfm: Format = {
  name: 'hetrec-lastfm',
  about: 'Last.fm of HetRec 2011: user_artists.dat, artists.dat',
  recognise(head: Head): Role | null {
    const names = headerCells(head, '\t').join()
    if (names === 'userid,artistid,weight') return 'interactions'
    if (names === 'id,name,url,pictureurl') return 'items'
    return /^(userid,artistid,tagid|tagid,tagvalue|userid,friendid)/.test(names) ? 'side' : null
  },
  async read(set, intake) {
    for (const file of filesOf(set, 'interactions'))
      await intake.cells(file, { by: '\t', width: 3 }, ([user = '', artist = ''], line) => {
        if (line > 1) intake.row(user, artist, null, null, line)
      })
    for (const file of filesOf(set, 'items'))
      await intake.cells(
        file,
        { by: '\t', width: 2, more: true, encoding: 'lossy' },
        ([id = '', name = ''], line) => {
          if (line > 1) intake.item(id, name, {}, line)
        },
      )
    intake.note('listening has no times here: the order of the rows is no order in time')
    return { name: 'HetRec Last.fm', noun: 'artist', wholeCatalogue: true }
  },
}

export const lastfm1k: Format = {
  name: 'lastfm-1k',
  about: 'Last.fm 1K: listening events as TSV',
  recognise(head: Head): Role | null {
    if (/^#?id\tgender\tage/.test(head.lines[0] ?? '')) return 'side'
    const rows = splitLines(head, '\t')
    return rows.length > 0 &&
      rows.every((row) => row.length === 6 && /^\d{4}-\d\d-\d\dT[\d:]+Z$/.test(row[1] ?? ''))
      ? 'interactions'
      : null
  },
  async read(set, intake) {
    for (const file of filesOf(set, 'interactions'))
      await intake.cells(file, { by: '\t', width: 6, encoding: 'lossy' }, (cells, line) => {
        const [user = '', time = '', id = '', artist = ''] = cells
        if (id === '' && artist === '') return intake.count('events without an artist were left out')
        intake.row(user, id || artist, null, timeOf(time), line)
        intake.item(id || artist, artist, {}, line)
      })
    return { name: 'Last.fm 1K', noun: 'artist' }
  },
}
