import { holdfast } from '@holdfast/typeorm'
import { DataSource } from 'typeorm'

export default new DataSource(holdfast({ type: 'postgres', url: process.env.DATABASE_URL ?? '' }))
